/* list.h - an intrusive list that counts itself.
 *
 * A link stands in one list at a time or in none; the owner of the object puts
 * it in and takes it out. The length is the list's own, so a gauge that reports
 * it cannot drift.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next;                 /* both NULL: in no list          */
};

struct list {
    struct link head;                         /* a ring through the head        */
    size_t      n;
};

#define LIST_OWNER(link_ptr, type, member) ((type *)((char *)(link_ptr) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->n = 0;
}

static inline bool link_is_in(const struct link *k)
{
    return k->next != NULL;
}

static inline void list_push(struct list *l, struct link *k)      /* at the end */
{
    assert(!link_is_in(k));
    k->prev = l->head.prev;
    k->next = &l->head;
    k->prev->next = k;
    l->head.prev = k;
    l->n++;
}

static inline void list_push_first(struct list *l, struct link *k)
{
    struct link *first = l->head.next;

    assert(!link_is_in(k));
    k->prev = &l->head;
    k->next = first;
    first->prev = l->head.next = k;
    l->n++;
}

static inline void list_take(struct list *l, struct link *k)
{
    assert(link_is_in(k) && l->n > 0);
    k->prev->next = k->next;
    k->next->prev = k->prev;
    k->prev = k->next = NULL;
    l->n--;
}

static inline struct link *list_first(struct list *l)
{
    return l->n ? l->head.next : NULL;
}

static inline struct link *list_pop(struct list *l)
{
    struct link *k = list_first(l);

    if (k)
        list_take(l, k);
    return k;
}

#define LIST_EACH(list_ptr, k) \
    for (struct link *k = (list_ptr)->head.next; k != &(list_ptr)->head; k = k->next)

#endif
