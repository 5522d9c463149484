/* Intrusive doubly linked list. A head is a struct list that points to itself. */
#ifndef KVD_BASE_LIST_H
#define KVD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_FOREACH(pos, head)                                                          \
    for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The current element may be removed in the body. */
#define LIST_FOREACH_SAFE(pos, head)                                                     \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);        \
         pos = pos##_next, pos##_next = pos->next)

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_tail(struct list *head, struct list *item)
{
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_add_head(struct list *head, struct list *item)
{
    list_add_tail(head->next, item);
}

/* Unlinks and leaves the item pointing to itself, so removing twice does no harm. */
static inline void list_del(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Moves all items of from to the end of to; from is empty afterwards. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
    if (!list_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

#endif
