#include "tests/checkers/cluster_track.h"

#include <criterion/criterion.h>

#include "tests/checkers/times.h"

Test(cluster_track, revision_is_born_when_the_first_member_applies_it)
{
    struct cluster_track track = {0};

    cluster_track_note(&track, 5 * TIME_S, 3, 10, 1);
    cluster_track_note(&track, 6 * TIME_S, 2, 9, 1);
    cluster_track_note(&track, 7 * TIME_S, 4, 11, 1);

    cr_assert_eq(cluster_track_born(&track, 2), 5 * TIME_S);
    cr_assert_eq(cluster_track_born(&track, 3), 5 * TIME_S);
    cr_assert_eq(cluster_track_born(&track, 4), 7 * TIME_S);
    cr_assert_eq(cluster_track_born(&track, 5), UINT64_MAX);
    cluster_track_close(&track);
}

Test(cluster_track, time_without_news_does_not_count)
{
    struct cluster_track track = {0};

    cluster_track_note(&track, 10 * TIME_S, 2, 1, 1);
    for (uint64_t at = 11; at <= 20; at++) {
        cluster_track_note(&track, at * TIME_S, 2, at, 1);
    }
    cluster_track_note(&track, 25 * TIME_S, 2, 21, 1);

    cr_assert_eq(cluster_track_paused(&track, 12 * TIME_S, 20 * TIME_S), 0);
    cr_assert_eq(cluster_track_paused(&track, 12 * TIME_S, 30 * TIME_S), 5 * TIME_S);
    cr_assert_eq(cluster_track_paused(&track, 22 * TIME_S, 24 * TIME_S), 2 * TIME_S);
    cluster_track_close(&track);
}

Test(cluster_track, time_around_a_change_of_leader_may_not_count)
{
    struct cluster_track track = {0};

    for (uint64_t at = 10; at <= 30; at++) {
        cluster_track_note(&track, at * TIME_S, 2, at, at < 20 ? 1 : 2);
    }

    cr_assert_eq(cluster_track_paused(&track, 15 * TIME_S, 25 * TIME_S), 3 * TIME_S);
    cluster_track_close(&track);
}
