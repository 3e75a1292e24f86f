/* An intrusive doubly linked list with a head. A link that is in no list points to itself. */
#ifndef HOLDFAST_BASE_LIST_H
#define HOLDFAST_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts `link` (in no list) at the tail. */
static inline void list_append(struct list *list, struct list *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

/* Takes `link` out of whatever list it is in; it may be in none. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link out, NULL when there is none. */
static inline struct list *list_pop(struct list *list)
{
    struct list *link = list->next;
    if (link == list) {
        return NULL;
    }
    list_remove(link);
    return link;
}

/* Moves all of `from` to `to`, which is empty. */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#endif
