#include "cli/doctor_situation.h"

#include <string.h>
#include <uv.h>

#include "config/text.h"

#define IPV4(a, b, c, d) (((uint32_t)(a) << 24) | ((uint32_t)(b) << 16) | ((uint32_t)(c) << 8) | (uint32_t)(d))

static bool is_in(uint32_t address, uint32_t network, unsigned bits)
{
    uint32_t mask = UINT32_MAX << (32U - bits);
    return (address & mask) == (network & mask);
}

/* What the name of an interface says of the network behind it. */
static enum doctor_situation of_interface(const char *name)
{
    static const struct {
        const char *pattern;
        enum doctor_situation situation;
    } names[] = {
        {"*vmnet8*", DOCTOR_VMWARE_NAT},  {"*vmnet1", DOCTOR_VMWARE_HOST_ONLY},
        {"vEthernet (WSL*", DOCTOR_WSL},  {"vEthernet (Default Switch)", DOCTOR_HYPER_V},
        {"vEthernet (*", DOCTOR_HYPER_V},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_match(names[i].pattern, name, true)) {
            return names[i].situation;
        }
    }
    return DOCTOR_PLAIN;
}

enum doctor_situation doctor_situation_of(const char *host, const struct doctor_network *networks, size_t count)
{
    struct sockaddr_in parsed;
    bool is_near = false;
    if (uv_ip4_addr(host, 0, &parsed) != 0) {
        return DOCTOR_PLAIN;
    }
    uint32_t address = ntohl(parsed.sin_addr.s_addr);
    for (size_t i = 0; i < count; i++) {
        bool inside = networks[i].mask != 0 && ((address ^ networks[i].address) & networks[i].mask) == 0;
        enum doctor_situation situation = inside ? of_interface(networks[i].name) : DOCTOR_PLAIN;
        if (situation != DOCTOR_PLAIN) {
            return situation;
        }
        is_near = is_near || inside;
    }
    if (is_in(address, IPV4(192, 168, 131, 0), 24) && !is_near) {
        return DOCTOR_VIRTUAL_PC_NAT;
    }
    if (is_in(address, IPV4(192, 168, 200, 0), 24)) {
        return DOCTOR_LOOPBACK_ADAPTER;
    }
    if (is_in(address, IPV4(169, 254, 0, 0), 16)) {
        return DOCTOR_LINK_LOCAL;
    }
    return is_in(address, IPV4(172, 16, 0, 0), 12) && !is_near ? DOCTOR_MOVING : DOCTOR_PLAIN;
}

const char *doctor_situation_text(enum doctor_situation situation)
{
    switch (situation) {
    case DOCTOR_VIRTUAL_PC_NAT: return "Virtual PC's shared network, which nothing can reach into, the host neither";
    case DOCTOR_LOOPBACK_ADAPTER: return "the usual network of a loopback adapter bridged to a guest";
    case DOCTOR_VMWARE_NAT:
        return "VMware's NAT (VMnet8), where a proxy of the host takes connections for guests: only bytes from the "
               "target prove that it is there";
    case DOCTOR_VMWARE_HOST_ONLY: return "VMware's host-only network (VMnet1), which only this host and its guests see";
    case DOCTOR_WSL: return "WSL's network, whose addresses change with each start of Windows";
    case DOCTOR_HYPER_V: return "an internal switch of Hyper-V, which only this host and its guests see";
    case DOCTOR_MOVING:
        return "a range in which WSL and Hyper-V's Default Switch take new addresses with each start of Windows; this "
               "machine has no address in that network now";
    case DOCTOR_LINK_LOCAL:
        return "a link-local address, which a machine gives itself when no DHCP server answers, as on an internal "
               "network of virtual machines";
    case DOCTOR_PLAIN:
    default: return "";
    }
}

const char *doctor_situation_mend(enum doctor_situation situation)
{
    switch (situation) {
    case DOCTOR_VIRTUAL_PC_NAT:
        return "add a Microsoft Loopback Adapter to Windows (192.168.200.1), give the guest a second card on it "
               "(192.168.200.2, no gateway), and forward to that address; or give the guest a bridged card";
    case DOCTOR_LOOPBACK_ADAPTER:
        return "see that this machine has 192.168.200.1 on its loopback adapter, that the guest's second card is "
               "bridged "
               "to it, that the guest runs, and that its firewall lets the port in";
    case DOCTOR_VMWARE_NAT:
        return "see that the guest runs and has this address still (VMware's DHCP may have given it another one), and "
               "that its firewall lets the port in";
    case DOCTOR_VMWARE_HOST_ONLY:
        return "see that the guest runs with a card on VMnet1 and that its firewall lets the port in";
    case DOCTOR_WSL: return "write the target as wsl:DISTRIBUTION:PORT, which asks for the address each time";
    case DOCTOR_HYPER_V:
        return "see that the guest runs and has this address still (on the Default Switch it changes: give the guest a "
               "fixed one on an internal switch of its own), and that its firewall lets the port in";
    case DOCTOR_MOVING:
        return "if the target is in WSL, write it as wsl:DISTRIBUTION:PORT; if it is a guest of Hyper-V, give it a "
               "fixed "
               "address on an internal switch of its own";
    case DOCTOR_LINK_LOCAL:
        return "give the target a fixed address, or a second card on a network that this machine is on";
    case DOCTOR_PLAIN:
    default: return NULL;
    }
}

enum doctor_situation doctor_situation_if_reached(enum doctor_situation situation)
{
    bool by_range =
        situation == DOCTOR_VIRTUAL_PC_NAT || situation == DOCTOR_LOOPBACK_ADAPTER || situation == DOCTOR_MOVING;
    return by_range ? DOCTOR_PLAIN : situation;
}

bool doctor_situation_is_passing(enum doctor_situation situation)
{
    return situation == DOCTOR_WSL || situation == DOCTOR_LINK_LOCAL;
}
