"""Definitions: what is valid, and for each way to be invalid the one message, its place, exit code 2, and nothing started."""

import os
import subprocess
from pathlib import Path

import pytest
from harness.holdfast import binary, runner

FORWARDS = "    forwards:\n      - local: 8080\n        to: a:80\n"
TUNNEL = "tunnels:\n  t:\n    host: me@h\n" + FORWARDS
TO = "tunnels.t.forwards[0]"


def host(line):
    return f"hosts:\n  h:\n    {line}\n" + TUNNEL


def defaults(line):
    return f"defaults:\n  {line}\n" + TUNNEL


def tunnel(line):
    return f"tunnels:\n  t:\n    {line}\n    host: me@h\n" + FORWARDS


def forward(*lines):
    return "tunnels:\n  t:\n    host: me@h\n    forwards:\n      - " + "\n        ".join(lines) + "\n"


def to(value):
    return forward("local: 8080", f"to: {value}")


def listen(value, kind="local"):
    return forward(f"{kind}: {value}", "to: a:80")


NAME = "letters, digits, '.', '_' and '-' make one, 64 bytes at most"
ANCHOR = "anchors and aliases (& and *) are not read; quote a value that begins with one"
TAG = "tags (!) are not read; quote a value that begins with one"
UTF8 = "this is not UTF-8; save the file as UTF-8"
NEEDS_FORWARD = "a forward is 'local: PORT' or 'remote: PORT', and 'to: HOST:PORT'"
EMPTY = "1:1: the file is empty; define a tunnel under tunnels:"

# name: (text, the message behind "FILE:")
BAD = {
    # keys
    "unknown key at the top": ("tunnel: {}\n" + TUNNEL, "1:1: unknown key 'tunnel'; did you mean 'tunnels'?"),
    "unknown key of a host": (host("hostnme: x"), "3:5: hosts.h: unknown key 'hostnme'; did you mean 'hostname'?"),
    "hyphens for underscores": (
        host("identity-file: x"), "3:5: hosts.h: unknown key 'identity-file'; did you mean 'identity_file'?"),
    "ssh's own spelling": (host("IdentityFile: x"), "3:5: hosts.h: unknown key 'IdentityFile'; did you mean 'identity_file'?"),
    "unknown key of a tunnel": (tunnel("forward: []"), "3:5: tunnels.t: unknown key 'forward'; did you mean 'forwards'?"),
    "unknown key of a forward": (
        forward("local: 1", "to: a:1", "holds: 1s"), f"7:9: {TO}: unknown key 'holds'; did you mean 'hold'?"),
    "unknown key of backoff": (
        tunnel("backoff: {frist: 1s}"), "3:15: tunnels.t.backoff: unknown key 'frist'; did you mean 'first'?"),
    "unknown key like no other": (host("colour: red"), "3:5: hosts.h: unknown key 'colour'"),
    "a stored secret": (
        host("passphrase_secret: desk"),
        "3:24: hosts.h.passphrase_secret: stored secrets are not in this version on this system; load the key into "
        "ssh-agent, or use one without a passphrase"),
    "doubled key": (host("port: 22\n    port: 23"), "4:5: hosts.h: key 'port' is already in line 3"),
    "doubled section": (TUNNEL + "tunnels: {}\n", "7:1: key 'tunnels' is already in line 1"),
    "doubled tunnel": (TUNNEL + TUNNEL[9:].replace("8080", "8081"), "7:3: tunnels.t: already defined at FILE:2:3"),
    "doubled host": ("hosts:\n  h: {port: 1}\n  h: {port: 2}\n" + TUNNEL, "3:3: hosts.h: already defined at FILE:2:3"),
    "a password": (host("password: geheim"), "3:5: hosts.h: 'password': secrets are never in YAML; use a key file or an agent"),
    "a passphrase": (
        defaults("key_passphrase: geheim"),
        "2:3: defaults: 'key_passphrase': secrets are never in YAML; use a key file or an agent"),
    "one host's word among defaults": (defaults("hostname: x"), "2:3: defaults.hostname: this is about one host; it goes under hosts:"),
    # later versions
    "proxy_jump": (host("proxy_jump: x"), "3:5: hosts.h.proxy_jump: not in this version"),
    "probe of a tunnel": (
        tunnel("probe: tcp"), "3:12: tunnels.t.probe: this is about one forward; it goes beside its 'to'"),
    "probe by a word like no other": (
        forward("local: 8080", "to: a:80", "probe: ping"), f"7:16: {TO}.probe: 'ping' is not off, tcp or loop"),
    "probe of a local loop": (
        forward("local: 8080", "to: a:80", "probe: loop"),
        f"7:16: {TO}.probe: only a remote forward leads back to us; a local one has 'probe: tcp'"),
    "probe_interval out of range": (
        forward("local: 8080", "to: a:80", "probe: tcp", "probe_interval: 10ms"),
        f"8:25: {TO}.probe_interval: 10ms is not in 1s-24h"),
    "max_channels of none": (
        forward("local: 8080", "to: a:80", "max_channels: 0"),
        f"7:23: {TO}.max_channels: '0' is not a number from 1 to 100000; leave the key out for no limit"),
    "max_channels beyond all": (
        forward("local: 8080", "to: a:80", "max_channels: 99999999999"),
        f"7:23: {TO}.max_channels: '99999999999' is not a number from 1 to 100000; leave the key out for no limit"),
    "max_channels of a tunnel": (
        tunnel("max_channels: 5"), "3:19: tunnels.t.max_channels: this is about one forward; it goes beside its 'to'"),
    "on_up as a shell's line": (
        tunnel("on_up: notify up"), "3:12: tunnels.t.on_up: 'notify up' has blanks; write the program and its arguments as a "
        "list, since no shell parts them"),
    "on_down of nothing": (tunnel("on_down: []"), "3:14: tunnels.t.on_down: the list is empty; write [PROGRAM, ARGUMENT...]"),
    "on_up of all": (defaults("on_up: x"), "2:10: defaults.on_up: this is about one tunnel; it goes under tunnels:"),
    "hook_timeout of none": (tunnel("hook_timeout: 0s"), "3:19: tunnels.t.hook_timeout: 0s is not in 1s-10m"),
    "watch_definitions": ("watch_definitions: maybe\n" + TUNNEL, "1:20: watch_definitions: 'maybe' is not yes or no"),
    "dynamic": (forward("dynamic: 1080"), f"5:9: {TO}.dynamic: not in this version"),
    "direct": (forward("direct: 1080", "to: a:1"), f"5:9: {TO}.direct: not in this version"),
    # targets that move
    "to wsl, where there is none": (
        forward("remote: 1", "to: wsl:Debian:80"),
        f"6:13: {TO}.to: 'wsl:Debian:80' is a distribution of the Windows subsystem for Linux, which only Windows has; "
        "write its address, or a command that prints it"),
    "to wsl, for the peer": (
        to("{wsl: Debian, port: 80}"),
        f"6:13: {TO}.to: 'wsl:Debian:80' is inside this machine, and here the peer connects; turn it round (-R)"),
    "to wsl, no name": (
        to("wsl:De bian:80"), f"6:13: {TO}.to: 'De bian' is no name of a distribution; 'wsl --list' shows those there are"),
    "to wsl, no port": (to("{wsl: Debian}"), f"6:13: {TO}.to: 'port' is missing; write {{wsl: DISTRIBUTION, port: N}}"),
    "to a command line": (
        to("{command: where is it, port: 80}"),
        f"6:23: {TO}.to.command: 'where is it' has blanks; write the program and its arguments as a list, since no shell parts them"),
    "to no command": (
        to("{command: [], port: 80}"), f"6:23: {TO}.to.command: the list is empty; write [PROGRAM, ARGUMENT...]"),
    "to a command that is empty": (to('{command: ["", a]}'), f"6:24: {TO}.to.command[0]: a value is missing"),
    "to a command in a map": (to("{command: {a: b}}"), f"6:23: {TO}.to.command: one value is expected here, not a map"),
    "to a list within a command": (to("{command: [a, [b]]}"), f"6:27: {TO}.to.command[1]: one value is expected here, not a list"),
    "to a command and a bad port": (to("{command: a, port: 0}"), f"6:32: {TO}.to.port: port 0 is not in 1-65535"),
    "to a command without a name": (
        to('"command::80"'), f"6:13: {TO}.to: the command is missing; write command:PROGRAM:PORT"),
    "to a command and a distribution": (
        to("{command: a, wsl: b, port: 80}"), f"6:13: {TO}.to: only one of 'command' and 'wsl' is needed"),
    "to a port alone": (to("{port: 80}"), f"6:13: {TO}.to: one of 'command' and 'wsl' is needed"),
    "to a misspelt command": (to("{comand: a}"), f"6:14: {TO}.to: unknown key 'comand'; did you mean 'command'?"),
    # values
    "port too large": (host("port: 70000"), "3:11: hosts.h.port: port 70000 is not in 1-65535"),
    "port of 40 digits": (host("port: " + "9" * 40), f"3:11: hosts.h.port: port {'9' * 40} is not in 1-65535"),
    "port 0": (host("port: 0"), "3:11: hosts.h.port: port 0 is not in 1-65535"),
    "negative port": (host("port: -22"), "3:11: hosts.h.port: '-22' is not a port number"),
    "port by name": (host("port: ssh"), "3:11: hosts.h.port: 'ssh' is not a port number"),
    "port as a list": (host("port: [22]"), "3:11: hosts.h.port: one value is expected here, not a list"),
    "user as a map": (host("user: {name: me}"), "3:11: hosts.h.user: one value is expected here, not a map"),
    "no value": (host("user:"), "3:10: hosts.h.user: a value is missing"),
    "null": (host("user: ~"), "3:11: hosts.h.user: a value is missing"),
    "empty string": (host('user: ""'), "3:11: hosts.h.user: a value is missing"),
    "no boolean": (host("compression: maybe"), "3:18: hosts.h.compression: 'maybe' is not yes or no"),
    "no policy": (
        host("strict_host_key_checking: accept-new"),
        "3:31: hosts.h.strict_host_key_checking: 'accept-new' is not yes, accept_new or no"),
    "no address family": (host("address_family: ipv4"), "3:21: hosts.h.address_family: 'ipv4' is not any, inet or inet6"),
    "duration without a unit": (
        defaults("connect_timeout: 10"), "2:20: defaults.connect_timeout: '10' has no unit; write 10s, or another of ms, s, m and h"),
    "duration with two units": (
        defaults("connect_timeout: 1m30s"),
        "2:20: defaults.connect_timeout: '1m30s' is not a duration such as 500ms, 15s, 2m or 1h"),
    "duration out of range": (defaults("connect_timeout: 2h"), "2:20: defaults.connect_timeout: 2h is not in 1s-1h"),
    "duration beyond numbers": (
        defaults("connect_timeout: 99999999999999999999s"),
        "2:20: defaults.connect_timeout: '99999999999999999999s' is not a duration such as 500ms, 15s, 2m or 1h"),
    "count out of range": (defaults("server_alive_count_max: 0"), "2:27: defaults.server_alive_count_max: 0 is not in 1-1000"),
    "count as a fraction": (
        defaults("server_alive_count_max: 2.5"), "2:27: defaults.server_alive_count_max: '2.5' is not a whole number"),
    "size without a unit": (host("rekey_limit: 1G"), "3:18: hosts.h.rekey_limit: '1G' is not a size such as 64KiB, 1MiB or 1GiB"),
    "no algorithms": (
        host("ciphers: aes256 ctr"), "3:14: hosts.h.ciphers: 'aes256 ctr' is not a list of algorithms parted by commas"),
    "user in a hostname": (host("hostname: me@x"), "3:15: hosts.h.hostname: 'me@x' is not a host name or address"),
    "empty list": (host("hostname: []"), "3:15: hosts.h.hostname: the list is empty"),
    "list in a list": (host("hostname: [a, [b]]"), "3:19: hosts.h.hostname[1]: one value is expected here, not a list"),
    "nothing in a host": (host("").replace("    \n", ""), "2:5: hosts.h: nothing is in it; a host has 'hostname', 'user' and so on"),
    # tunnels
    "no host": ("tunnels:\n  t:\n" + FORWARDS, "2:3: tunnels.t: 'host' is missing; name an entry of hosts:, or write user@name"),
    "no forwards": ("tunnels:\n  t:\n    host: h\n", "2:3: tunnels.t: 'forwards' is missing; write a list of forwards"),
    "no forward": ("tunnels:\n  t:\n    host: h\n    forwards: []\n", "4:15: tunnels.t.forwards: the list is empty"),
    "forwards as a map": (
        "tunnels:\n  t:\n    host: h\n    forwards: {local: 1, to: a:1}\n",
        "4:15: tunnels.t.forwards: a list is expected here; each forward begins with '- local: PORT' or '- remote: PORT'"),
    "forward as a word": (forward("8080"), f"5:9: {TO}: this is no map; {NEEDS_FORWARD}"),
    "tunnel as a word": ("tunnels:\n  t: h\n", "2:6: tunnels.t: this is no map; a tunnel has 'host' and 'forwards'"),
    "tunnels as a list": ("tunnels:\n  - t\n", "2:3: tunnels: this is no map; entries with a name each are expected"),
    "a name for a path": ("tunnels:\n  ../t:\n    host: h\n" + FORWARDS, f"2:3: tunnels.../t: '../t' is no name; {NAME}"),
    "a name too long": (
        f"tunnels:\n  {'t' * 65}:\n    host: h\n" + FORWARDS, f"2:3: tunnels.{'t' * 65}: '{'t' * 65}' is no name; {NAME}"),
    "bad port in place": (
        "tunnels:\n  t:\n    host: me@h:99999\n" + FORWARDS, "3:11: tunnels.t.host: port 99999 is not in 1-65535"),
    "user in place missing": (
        'tunnels:\n  t:\n    host: "@h"\n' + FORWARDS, "3:11: tunnels.t.host: the user before '@' is missing"),
    "user said twice": (tunnel("user: you"), "4:11: tunnels.t.host: the user is said twice, here and by 'user'"),
    "backoff the wrong way round": (
        tunnel("backoff: {first: 10s, max: 1s}"), "3:14: tunnels.t.backoff: first (10s) is longer than max (1s)"),
    # forwards
    "a misspelt listener": (
        forward("locale: 1", "to: a:1"), f"5:9: {TO}: unknown key 'locale'; did you mean 'local'?"),
    "no listener": (forward("to: a:1"), f"5:9: {TO}: one of 'local' and 'remote' is needed"),
    "two listeners": (
        forward("local: 1", "remote: 2", "to: a:1"), f"5:9: {TO}: only one of 'local' and 'remote' is needed, and both are here"),
    "no target": (forward("local: 1"), f"5:9: {TO}: 'to' is missing; write 'to: HOST:PORT'"),
    "target without a port": (to("intranet"), f"6:13: {TO}.to: 'intranet' has no port; write HOST:PORT"),
    "target port too large": (to("intranet:70000"), f"6:13: {TO}.to: port 70000 is not in 1-65535"),
    "target port 0": (to("intranet:0"), f"6:13: {TO}.to: port 0 is not in 1-65535"),
    "target without a host": (to('":80"'), f"6:13: {TO}.to: the host is missing"),
    "target IPv6 without brackets": (
        to("2001:db8::1:80"), f"6:13: {TO}.to: '2001:db8::1:80' has more than one ':'; an IPv6 address goes in brackets: [::1]:80"),
    "target no IPv6": (to('"[2001:xyz::1]:80"'), f"6:13: {TO}.to: '2001:xyz::1' is not an IPv6 address"),
    "target bracket open": (to('"[::1:80"'), f"6:13: {TO}.to: '[::1:80' is not [ADDRESS]:PORT"),
    "target with a blank": (to('"a b:80"'), f"6:13: {TO}.to: 'a b' is not a host name or address"),
    "target like a flag": (to('"-oProxyCommand=x:80"'), f"6:13: {TO}.to: the host '-oProxyCommand=x' begins with '-'"),
    "local port 0": (listen("0"), f"5:16: {TO}.local: port 0 is not in 1-65535"),
    "local word": (listen("http"), f"5:16: {TO}.local: 'http' is not [BIND:]PORT or the path of a socket"),
    "remote port": (listen("65536", "remote"), f"5:17: {TO}.remote: port 65536 is not in 0-65535"),
    "socket path too long": (
        listen("/" + "x" * 107), f"5:16: {TO}.local: the socket path '/{'x' * 39}...' is longer than 107 bytes"),
    "hold of a remote": (
        forward("remote: 1", "to: a:1", "hold: 1s"), f"7:15: {TO}.hold: only a local forward holds connections"),
    "hold without a unit": (
        forward("local: 1", "to: a:1", "hold: 5"), f"7:15: {TO}.hold: '5' has no unit; write 5s, or another of ms, s, m and h"),
    "gateway_ports of a remote": (
        forward("remote: 1", "to: a:1", "gateway_ports: yes"),
        f"7:24: {TO}.gateway_ports: only for a local forward; 'remote: \"*:PORT\"' asks the peer for all its addresses"),
    "two on one port": (
        TUNNEL + "      - local: localhost:8080\n        to: b:80\n",
        f"7:16: tunnels.t.forwards[1].local: localhost:8080 is already taken by tunnels.t.forwards[0] at FILE:5:16"),
    "two tunnels on one port": (
        TUNNEL + "  u:\n    host: i\n    forwards:\n      - local: '*:8080'\n        to: b:80\n",
        "10:16: tunnels.u.forwards[0].local: *:8080 is already taken by tunnels.t.forwards[0] at FILE:5:16"),
    "two on one port of a peer": (
        listen("8080", "remote") + "  u:\n    host: you@h\n    forwards:\n      - remote: 8080\n        to: b:80\n",
        "10:17: tunnels.u.forwards[0].remote: 8080 is already taken by tunnels.t.forwards[0] at FILE:5:17"),
    # files
    "empty": ("", EMPTY),
    "comments only": ("# nothing yet\n", EMPTY),
    "an empty map": ("{}\n", EMPTY),
    "a word": ("hello\n", "1:1: the file is no map; it begins with defaults:, hosts: or tunnels:"),
    "hosts only": ("hosts:\n  h: {port: 22}\n", " no tunnels are defined; add one under tunnels:"),
    "a tab": ("tunnels:\n\tt:\n", "2:1: a tab in the indentation; YAML takes spaces only"),
    "a tab behind spaces": ("tunnels:\n  t:\n   \thost: h\n", "3:4: a tab in the indentation; YAML takes spaces only"),
    "a bracket open": ("tunnels: [\n", "2:1: not YAML: did not find expected node content (while parsing a flow node, line 2)"),
    "a quote open": (
        'tunnels: "x\n', "2:1: not YAML: found unexpected end of stream (while scanning a quoted scalar, line 1)"),
    "an anchor": ("tunnels: &x {}\n", f"1:10: {ANCHOR}"),
    "an alias": (listen("*8080"), f"5:16: {ANCHOR}"),
    "a billion laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\n" + TUNNEL, f"1:4: {ANCHOR}"),
    "a tag": ("tunnels: !!python/object:os.system {}\n", f"1:10: {TAG}"),
    "a second document": (TUNNEL + "---\n" + TUNNEL, "7:1: a second document begins here; a file holds one"),
    "deep nesting": ("a: " + "[" * 100000, "1:19: nested too deeply"),
    "deep nesting in blocks": ("- " * 5000 + "x\n", "1:33: nested too deeply"),
    "a map for a key": ("{[a]: b}\n", "1:2: a key is a plain word"),
    "a NUL": (b"tunnels:\n  t\0: x\n", "2:4: a NUL byte; definitions are text in UTF-8"),
    "a NUL in quotes": (host('user: "a\\0b"'), "3:11: a NUL byte; definitions are text in UTF-8"),
    "Latin-1": ("# caf\u00e9\n".encode("latin-1") + TUNNEL.encode(), f"1:6: {UTF8}"),
    "UTF-16": (TUNNEL.encode("utf-16"), f"1:1: {UTF8}"),
    "surrogates": (b"# \xed\xa0\x80\n", f"1:3: {UTF8}"),
    "an escape character": (b"user: \x1b[31m\n", "1:7: a control character; definitions are text in UTF-8"),
    "larger than 1 MiB": ("#" * (1024 * 1024 + 1), " the file is larger than 1 MiB"),
}  # fmt: skip


@pytest.fixture
def call(tmp_path):
    """call(words, env={}) -> the finished program; it has a home of its own, in which it must leave nothing."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*words, **more):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "XDG_"))}
        env = {**clean, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
        done = subprocess.run(
            [*runner(), binary(), *words], cwd=tmp_path, env={**env, **more}, timeout=20, capture_output=True,
            stdin=subprocess.DEVNULL)  # fmt: skip
        done.stdout = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
        done.stderr = done.stderr.decode("utf-8", "replace").replace("\r\n", "\n")
        return done

    yield run
    assert list(home.iterdir()) == [], "something was started, and has left a trace"


def write(folder, text, name="t.yaml"):
    path = Path(folder) / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_each_fault_has_its_one_message(call, tmp_path, case, command):
    text, message = case
    done = call(command, "-c", write(tmp_path, text))
    assert done.stderr == f"t.yaml:{message}\n".replace("FILE", "t.yaml")
    assert (done.returncode, done.stdout) == (2, "")


def test_there_are_enough_bad_ones():
    assert len(BAD) >= 40


GOOD = {
    "the least": (TUNNEL, "t: me@h: -L 127.0.0.1:8080 -> a:80"),
    "CRLF": (TUNNEL.replace("\n", "\r\n"), "t: me@h: -L 127.0.0.1:8080 -> a:80"),
    "a byte order mark": ("\ufeff" + TUNNEL, "t: me@h: -L 127.0.0.1:8080 -> a:80"),
    "no newline at the end": (TUNNEL.rstrip(), "t: me@h: -L 127.0.0.1:8080 -> a:80"),
    "a document mark": ("---\n" + TUNNEL + "...\n", "t: me@h: -L 127.0.0.1:8080 -> a:80"),
    "IPv6": (forward('local: "[::1]:8080"', 'to: "[2001:db8::1]:80"'), "t: me@h: -L [::1]:8080 -> [2001:db8::1]:80"),
    "all addresses": (forward('remote: "*:8080"', "to: a:80"), "t: me@h: -R *:8080 -> a:80"),
    "port 0 on the peer": (forward("remote: 0", "to: a:80"), "t: me@h: -R 127.0.0.1:0 -> a:80"),
    "sockets": (forward("local: /run/a.sock", "to: /run/b.sock"), "t: me@h: -L /run/a.sock -> /run/b.sock"),
    "gateway_ports": (
        forward("local: 8080", "to: a:80", "gateway_ports: true"), "t: me@h: -L *:8080 -> a:80"),
    "gateway_ports from defaults": (
        "defaults: {gateway_ports: yes}\n" + TUNNEL, "t: me@h: -L *:8080 -> a:80"),
    "both loopbacks": (
        forward("local: 127.0.0.1:80", "to: a:80") + '      - {local: "[::1]:80", to: "a:80"}\n',
        "t: me@h: -L 127.0.0.1:80 -> a:80, -L [::1]:80 -> a:80"),
    "one remote port on two peers": (
        listen("1", "remote") + "      - {remote: 0, to: 'b:1'}\n      - {remote: 0, to: 'b:2'}\n",
        "t: me@h: -R 127.0.0.1:1 -> a:80, -R 127.0.0.1:0 -> b:1, -R 127.0.0.1:0 -> b:2"),
    "host in place with a port": (
        "tunnels:\n  t:\n    host: me@[2001:db8::1]:2222\n" + FORWARDS, "t: me@[2001:db8::1]:2222: -L 127.0.0.1:8080 -> a:80"),
    "user in place over the entry's": (
        "hosts:\n  h: {hostname: real, user: you, port: 2222}\n" + TUNNEL, "t: me@real:2222: -L 127.0.0.1:8080 -> a:80"),
    "the tunnel's word over its host's": (
        "hosts:\n  h: {hostname: real, port: 1}\n" + tunnel("port: 2"), "t: me@real:2: -L 127.0.0.1:8080 -> a:80"),
    "the host's word over the defaults": (
        "defaults: {port: 3, user: x}\nhosts:\n  h: {hostname: real, port: 1}\n" + TUNNEL,
        "t: me@real:1: -L 127.0.0.1:8080 -> a:80"),
    "names of all letters": (TUNNEL.replace("  t:", "  \u30c8\u30f3\u30cd\u30eb:"), "\u30c8\u30f3\u30cd\u30eb: me@h: -L 127.0.0.1:8080 -> a:80"),
    "every word": (
        "hosts:\n  h:\n    hostname: [a, b]\n    port: 22\n    user: me\n    identity_file: [k1, ~/k2]\n"
        "    identities_only: yes\n    identity_agent: none\n    known_hosts_file: [k, l]\n"
        "    strict_host_key_checking: accept_new\n    host_key_alias: x\n    hash_known_hosts: on\n".replace("on\n", "true\n")
        + "    address_family: inet6\n    bind_address: 10.0.0.1\n    connect_timeout: 5s\n"
        "    server_alive_interval: 0s\n    server_alive_count_max: 5\n    tcp_keepalive: no\n    compression: yes\n"
        "    batch_mode: yes\n    password_authentication: no\n    ciphers: ^aes256-gcm@openssh.com\n    macs: hmac-sha2-256\n"
        "    kex_algorithms: +curve25519-sha256\n    host_key_algorithms: ssh-ed25519,rsa-sha2-512\n"
        "    rekey_limit: 1GiB 1h\n    gateway_ports: no\n    exit_on_forward_failure: yes\n"
        "    stream_local_bind_unlink: yes\n" + TUNNEL + "        hold: 0s\n    backoff: {first: 10ms, max: 24h}\n",
        "t: me@a: -L 127.0.0.1:8080 -> a:80"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_valid_ones_are_shown(call, tmp_path, case):
    text, line = case
    done = call("check", "-c", write(tmp_path, text))
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == line
    assert done.stdout.splitlines()[1].startswith("valid: 1 tunnel, ")
    assert done.returncode == 0


def test_all_errors_of_all_files_at_once_in_order(call, tmp_path):
    write(tmp_path, host("port: 0\n    user: []\n    prot: 1"), "a.yaml")
    write(tmp_path, "hosts:\n  h: {port: 1}\n" + TUNNEL, "b.yaml")
    done = call("check", "-c", "b.yaml", "-c", "a.yaml")
    assert done.stderr.splitlines() == [
        "a.yaml:2:3: hosts.h: already defined at b.yaml:2:3",
        "a.yaml:3:11: hosts.h.port: port 0 is not in 1-65535",
        "a.yaml:4:11: hosts.h.user: one value is expected here, not a list",
        "a.yaml:5:5: hosts.h: unknown key 'prot'; did you mean 'port'?",
        "a.yaml:7:3: tunnels.t: already defined at b.yaml:4:3",
        "a.yaml:10:16: tunnels.t.forwards[0].local: 8080 is already taken by tunnels.t.forwards[0] at b.yaml:7:16",
    ]
    assert (done.returncode, done.stdout) == (2, "")


def test_a_folder_means_its_yaml_in_name_order(call, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    write(folder, TUNNEL.replace("  t:", "  second:").replace("me@h", "h"), "b.yaml")
    write(folder, "hosts:\n  h: {hostname: real, user: you}\n" + TUNNEL.replace("  t:", "  first:").replace("8080", "1"), "a.yaml")
    write(folder, "nonsense", "c.yml")
    write(folder, "nonsense", ".hidden.yaml")
    write(folder, "nonsense", "c.yaml~")
    done = call("check", "-c", "d")
    assert done.stdout.splitlines() == [
        "first: me@real: -L 127.0.0.1:1 -> a:80",
        "second: you@real: -L 127.0.0.1:8080 -> a:80",
        "valid: 2 tunnels, 2 forwards",
    ]
    assert done.returncode == 0


def test_defaults_are_those_of_their_own_file(call, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    write(folder, "defaults: {port: 2222}\n" + TUNNEL, "a.yaml")
    write(folder, TUNNEL.replace("  t:", "  u:").replace("8080", "1"), "b.yaml")
    assert call("check", "-c", "d").stdout.splitlines()[:2] == [
        "t: me@h:2222: -L 127.0.0.1:8080 -> a:80",
        "u: me@h: -L 127.0.0.1:1 -> a:80",
    ]


def test_missing_places_say_what_mends_it(call, tmp_path):
    (tmp_path / "empty").mkdir()
    done = call("check", "-c", "none.yaml")
    assert done.stderr == "none.yaml: no such file or folder; write a definition there or name another with -c\n"
    assert done.returncode == 2
    done = call("run", "-c", "empty")
    assert done.stderr == "empty: the folder has no *.yaml; write a definition there\n"
    assert done.returncode == 2


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root looks in /etc/holdfast")
def test_without_c_the_person_s_own_place(call, tmp_path):
    done = call("check")
    assert "home/config/holdfast: no such file or folder" in done.stderr
    assert done.returncode == 2


def test_a_megabyte_is_read_in_a_moment(call, tmp_path):
    text = TUNNEL + "#" * (1024 * 1024 - len(TUNNEL))
    assert call("check", "-c", write(tmp_path, text)).returncode == 0
    many = "hosts:\n" + "".join(f"  h{i}: {{prot: 1}}\n" for i in range(40000))
    done = call("check", "-c", write(tmp_path, many))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1001
    assert done.stderr.splitlines()[-1] == "t.yaml: more errors than are listed here"
    scalar = host("user: " + "x" * 1000000)
    assert call("check", "-c", write(tmp_path, scalar)).returncode == 0
    scalar = to("x" * 1000000)
    assert len(call("check", "-c", write(tmp_path, scalar)).stderr) < 400


def test_nothing_in_a_message_reaches_the_terminal_raw(call, tmp_path):
    done = call("check", "-c", write(tmp_path, host('"po\\e[31mrt": 1')))
    assert done.stderr == "t.yaml:3:5: hosts.h: unknown key 'po?[31mrt'\n"


def test_a_command_beside_the_file(call, tmp_path):
    """A program with a separator in its name is relative to the file; one without is looked for in PATH."""
    folder = tmp_path / "d"
    folder.mkdir()
    for value, shown in {
        "{command: [./ask, -x, ''], port: 80}": f"command:{folder}/./ask:80",
        "command:./ask:80": f"command:{folder}/./ask:80",
        "{command: [ask]}": "command:ask",
        "{command: ask, port: 80}": "command:ask:80",
        "command:ask:80": "command:ask:80",
    }.items():
        write(folder, to(value))
        done = call("check", "-c", str(folder))
        assert (done.returncode, done.stdout.splitlines()[:1]) == (0, [f"t: me@h: -L 127.0.0.1:8080 -> {shown}"]), done.stderr


@pytest.mark.skipif(bool(runner()), reason="Windows has it: tests/windows/test_addresses.py")
def test_firewall_is_for_windows(call, tmp_path):
    write(tmp_path, TUNNEL.replace("local: 8080", "local: '*:8080'"))
    for words in (["allow", "-c", "t.yaml", "t"], ["remove", "t"]):
        done = call("firewall", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("holdfast: firewall: not in this version on this system; open the port with the system's own tool")
    done = call("firewall", "allow", "-c", "t.yaml", "u")
    assert done.stderr == "holdfast: firewall: the definitions have no tunnel 'u'; 'holdfast check' lists those they have\n"


EXAMPLES = sorted((Path(__file__).parents[2] / "tunnels").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_the_examples_are_valid(call, path):
    done = call("check", "-c", str(path))
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_examples_can_run_together(call):
    assert len(EXAMPLES) >= 5
    done = call("check", "-c", str(EXAMPLES[0].parent))
    assert done.stderr == ""
    assert done.returncode == 0
