/* Notices what connections often do not survive: the system slept, or its network changed. One file per system under
 * posix/ and win/ for the network; sleep is seen in the same way everywhere, as time that passed without us. */
#ifndef HOLDFAST_PLATFORM_WAKE_H
#define HOLDFAST_PLATFORM_WAKE_H

#include <uv.h>

struct platform_wake;

/* `on_wake` comes on the loop, soon after the last of a burst of changes; `why` is for the log. */
typedef void platform_wake_cb(void *arg, const char *why);

/* Begins to watch, with handles that do not keep the loop running. NULL when out of memory. Where the system does not
 * tell of its network, sleep alone is noticed. */
struct platform_wake *platform_wake_start(uv_loop_t *loop, platform_wake_cb *on_wake, void *arg);
/* Ends it; the loop has to run once more for the memory to go. `wake` may be NULL. */
void platform_wake_stop(struct platform_wake *wake);

#endif
