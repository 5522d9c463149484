#include "base/list.h"

#include <criterion/criterion.h>
#include <string.h>

struct item {
    char name;
    struct list link;
};

static struct item items[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
static struct list head;

static void start(void)
{
    list_init(&head);
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        list_init(&items[i].link);
    }
}

static void expect(const struct list *list, const char *names)
{
    char forward[16] = "";
    char backward[16] = "";
    size_t n = 0;

    for (const struct list *pos = list->next; pos != list; pos = pos->next) {
        forward[n++] = container_of(pos, struct item, link)->name;
    }
    for (const struct list *pos = list->prev; pos != list; pos = pos->prev) {
        backward[--n] = container_of(pos, struct item, link)->name;
    }
    cr_assert_str_eq(forward, names);
    cr_assert_str_eq(backward, names);
}

Test(list, items_go_to_either_end, .init = start)
{
    cr_assert(list_empty(&head));
    list_add_tail(&head, &items[1].link);
    list_add_tail(&head, &items[2].link);
    list_add_head(&head, &items[0].link);
    cr_assert_not(list_empty(&head));
    expect(&head, "abc");
}

Test(list, removing_twice_does_no_harm, .init = start)
{
    list_add_tail(&head, &items[0].link);
    list_add_tail(&head, &items[1].link);
    list_del(&items[0].link);
    list_del(&items[0].link);
    expect(&head, "b");
    list_add_tail(&head, &items[0].link);
    expect(&head, "ba");
}

Test(list, splice_moves_all_behind, .init = start)
{
    struct list other;

    list_init(&other);
    list_add_tail(&head, &items[0].link);
    list_splice_tail(&head, &other);
    expect(&head, "a");
    list_add_tail(&other, &items[1].link);
    list_add_tail(&other, &items[2].link);
    list_splice_tail(&head, &other);
    expect(&head, "abc");
    cr_assert(list_empty(&other));
}

Test(list, current_item_may_be_removed_in_the_safe_loop, .init = start)
{
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        list_add_tail(&head, &items[i].link);
    }
    LIST_FOREACH_SAFE (pos, &head) {
        if (container_of(pos, struct item, link)->name != 'c') {
            list_del(pos);
        }
    }
    expect(&head, "c");
    LIST_FOREACH (pos, &head) {
        cr_assert_eq(container_of(pos, struct item, link)->name, 'c');
    }
}
