"""A machine of its own for the services: systemd as process 1 of a namespace, on a root in memory that shares this
machine's /usr and network. Nothing of it outlives boot()."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from .holdfast import binary
from .proc import Process, children_of, wait_until

SYSTEMD = "/lib/systemd/systemd"
PROGRAM = "/opt/holdfast/holdfast"

# Words: the root, the program, a folder that both sides see. Runs in namespaces of its own.
_SCRIPT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/shared" "$1/usr" "$1/old"
mount --bind "$3" "$1/shared"
mount --bind /usr "$1/usr"
mount -o remount,bind,ro "$1/usr"
cp -L "$2" "$1/holdfast"
cd "$1"
mkdir -p etc/systemd/system etc/alternatives opt/holdfast proc sys dev run tmp root home var/log var/lib var/tmp
chmod 755 . opt opt/holdfast etc; chmod 1777 tmp var/tmp
mv holdfast opt/holdfast/holdfast; chmod 755 opt/holdfast/holdfast
for link in bin sbin lib lib64; do [ ! -e /usr/$link ] || ln -s usr/$link $link; done
ln -s ../run var/run
for file in passwd group shadow nsswitch.conf ld.so.cache; do [ ! -e /etc/$file ] || cp /etc/$file etc/; done
cp -a /etc/alternatives/. etc/alternatives/
echo 0123456789abcdef0123456789abcdef > etc/machine-id
printf '[Unit]\nRequires=systemd-journald.socket systemd-journald.service\nWants=dbus.socket dbus.service\nAfter=systemd-journald.service\n' > etc/systemd/system/test.target
printf '[Journal]\nStorage=volatile\n' > etc/systemd/journald.conf
# What a machine does to its kernel and devices at boot is not for this one.
for unit in usr/lib/systemd/system/*.target.wants/*; do
    unit=${unit##*/}
    case $unit in systemd-journal* | dbus.*) ;; *) ln -sf /dev/null "etc/systemd/system/$unit" ;; esac
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --rbind /sys sys
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/shm dev/pts; ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=755 tmpfs run
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs cgroup sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
pivot_root . old
umount -l /old
mount --make-rshared / # a service manager makes mounts in namespaces of its children
exec env -i container=holdfast-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target --log-target=journal-or-kmsg --show-status=0
"""


def _cgroup_root():
    """Where this machine's systemd hierarchy of control groups is."""
    return Path("/sys/fs/cgroup") if Path("/sys/fs/cgroup/cgroup.controllers").exists() else Path("/sys/fs/cgroup/systemd")


def why_not():
    """Why no such machine can be had here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path(SYSTEMD).exists() or shutil.which("systemctl") is None:
        return "needs the package systemd"
    group = _cgroup_root() / f"holdfast-probe-{os.getpid()}"
    try:
        group.mkdir()
        group.rmdir()
    except OSError as error:
        return f"needs control groups: {error}"
    probe = subprocess.run(["unshare", "-m", "-p", "-f", "-C", "-u", "-i", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                           capture_output=True, text=True)  # fmt: skip
    return None if probe.returncode == 0 else f"needs namespaces: {probe.stderr.strip()}"


class Machine:
    """boot() it, run() programs in it, and end() it."""

    def __init__(self, folder):
        self.root = Path(folder) / "root"
        self.shared = Path(folder) / "shared"
        self.root.mkdir(parents=True)
        self.shared.mkdir()
        self._group = _cgroup_root() / f"holdfast-test-{os.getpid()}"
        self._process = None
        self._init = None

    def boot(self):
        enter = f'echo $$ > "{self._group}/cgroup.procs"; exec unshare -m -p -f -C -u -i --kill-child bash -c "$@"'
        words = ["bash", "-c", enter, "bash", _SCRIPT, "bash", self.root, binary(), self.shared]
        self._group.mkdir()
        self._process = Process(words)
        try:
            self._init = wait_until(self._find_init, 20, "there is a process 1")
            wait_until(lambda: self.run("systemctl", "is-active", "test.target").stdout == "active\n", 60, "it has booted")
        except AssertionError:
            print(self._process.err.text())
            self.end()
            raise
        return self

    def _find_init(self):
        assert self._process.is_running(), f"the machine ended:\n{self._process.err.text()}"
        for pid in children_of(self._process.pid):
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                return pid
        return None

    def run(self, *words, **more):
        """Runs a program there to its end."""
        enter = ["nsenter", "-t", str(self._init), "-m", "-p", "-C", "-u", "-i", "--root"]
        words = ["sh", "-c", 'cd / && exec "$@"', "sh", *map(str, words)]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        return subprocess.run(
            [*enter, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **more
        )

    def holdfast(self, *words):
        return self.run(PROGRAM, *words)

    def write(self, path, text, mode=0o644):
        """Makes a file there."""
        place = Path(f"/proc/{self._init}/root{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def exists(self, path):
        return os.path.lexists(f"/proc/{self._init}/root{path}")

    def property(self, unit, name):
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", *words).stdout

    def end(self):
        if self._process is None:
            return
        if self._init is not None and self._process.is_running():
            os.kill(self._init, signal.SIGKILL)  # and with it all that runs there; its parent follows
            self._process.wait(20)
        self._process.kill()
        for folder, _, _ in os.walk(self._group, topdown=False):
            wait_until(lambda place=folder: self._remove(place), 20, f"{folder} is empty")

    @staticmethod
    def _remove(folder):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True
