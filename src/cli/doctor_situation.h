/* Targets in the networks of virtual machines and subsystems: which network an address is in, who can reach it, and
 * what that means for a tunnel. Pure. */
#ifndef HOLDFAST_CLI_DOCTOR_SITUATION_H
#define HOLDFAST_CLI_DOCTOR_SITUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 address of this machine, as uv_interface_addresses gives them. */
struct doctor_network {
    const char *name;       /* "vEthernet (WSL)" */
    uint32_t address, mask; /* in host byte order */
};

enum doctor_situation {
    DOCTOR_PLAIN = 0,
    DOCTOR_VIRTUAL_PC_NAT,   /* Windows Virtual PC's shared network */
    DOCTOR_LOOPBACK_ADAPTER, /* 192.168.200.0/24, where the host has an address: a bridged loopback adapter */
    DOCTOR_VMWARE_NAT,
    DOCTOR_VMWARE_HOST_ONLY,
    DOCTOR_WSL,
    DOCTOR_HYPER_V, /* the Default Switch or another internal one */
    DOCTOR_MOVING,  /* 172.16.0.0/12 where this machine has no address: WSL and the Default Switch move in there */
    DOCTOR_LINK_LOCAL
};

/* `host`: a name or an address; names and IPv6 are DOCTOR_PLAIN. */
enum doctor_situation doctor_situation_of(const char *host, const struct doctor_network *networks, size_t count);
/* What kind of network that is, for behind the address: "WSL's network, whose addresses change ..."; "" for a plain
 * one. Static. */
const char *doctor_situation_text(enum doctor_situation situation);
/* What to do when the target does not answer there; NULL: nothing particular. Static. */
const char *doctor_situation_mend(enum doctor_situation situation);
/* What is left of it for a target that did take a connection: an address in a usual range may be a plain one. */
enum doctor_situation doctor_situation_if_reached(enum doctor_situation situation);
/* Whether a definition should name it otherwise although it answers now. */
bool doctor_situation_is_passing(enum doctor_situation situation);

#endif
