#include <criterion/criterion.h>
#include <string.h>

#include "node/membership.h"

static char urls[3][32] = {"http://10.0.0.1:2380", "http://10.0.0.2:2380",
                           "http://10.0.0.3:2380"};
static char names[3][4] = {"a", "b", "c"};
static char token[] = "t";

static struct config three(void)
{
    struct config config = {.name = names[0], .n_peers = 3, .cluster_token = token};

    for (size_t i = 0; i < 3; i++) {
        config.peers[i].name = names[i];
        config.peers[i].urls.n = 1;
        config.peers[i].urls.items[0].text = urls[i];
        config.peers[i].urls.items[0].address = urls[i] + strlen("http://");
    }
    return config;
}

Test(membership, members_are_sorted_by_id_and_know_themselves)
{
    struct config config = three();
    struct membership m;

    cr_assert_eq(membership_init(&m, &config, NULL), 0);
    cr_assert_eq(m.n, 3);
    cr_assert_lt(m.items[0].id, m.items[1].id);
    cr_assert_lt(m.items[1].id, m.items[2].id);
    cr_assert_str_eq(membership_find(&m, m.self)->name, "a");
    cr_assert_null(membership_find(&m, 12345));
}

Test(membership, all_members_compute_the_same_cluster)
{
    struct config config = three();
    struct membership first;
    struct membership other;

    membership_init(&first, &config, NULL);
    config.name = names[2];
    membership_init(&other, &config, NULL);

    cr_assert_eq(first.cluster_id, other.cluster_id);
    cr_assert_neq(first.self, other.self);
}

Test(membership, a_majority_is_more_than_half)
{
    static const size_t quorums[] = {1, 2, 2, 3, 3};

    for (size_t n = 1; n <= 5; n++) {
        struct membership m = {.n = n};

        cr_assert_eq(membership_quorum(&m), quorums[n - 1]);
    }
}
