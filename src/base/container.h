/* From a member back to the struct that embeds it. */
#ifndef HOLDFAST_BASE_CONTAINER_H
#define HOLDFAST_BASE_CONTAINER_H

#include <stddef.h>

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
