#include "node/current.h"

#include <criterion/criterion.h>
#include <string.h>

#include "node/smallfile.h"
#include "tests/sim/sim_disk.h"

static struct sim_disk *sim;
static struct disk *disk;
static struct current current;
static struct err err;

static void set_up(void)
{
    sim = sim_disk_new(3);
    disk = sim_disk_as_disk(sim);
    disk->ops->mkdir(disk, "/d");
    current = (struct current){0};
}

static void tear_down(void)
{
    sim_disk_free(sim);
}

TestSuite(current, .init = set_up, .fini = tear_down);

Test(current, what_was_saved_is_loaded)
{
    const struct current saved = {.number = 12, .seed_index = 345678, .seed_term = 9};

    cr_assert_eq(current_save(&saved, disk, "/d", &err), 0);
    cr_assert_eq(current_load(&current, disk, "/d", &err), 0, "%s", err.text);

    cr_assert_eq(current.number, 12);
    cr_assert_eq(current.seed_index, 345678);
    cr_assert_eq(current.seed_term, 9);
    cr_assert(current.sealed);
}

Test(current, one_that_was_not_fetched_has_no_seed)
{
    char text[SMALLFILE_MAX];

    cr_assert_eq(current_save(&(struct current){.number = 1}, disk, "/d", &err), 0);
    cr_assert_eq(smallfile_read(disk, "/d", "CURRENT", text, &err), 0);
    cr_assert_null(strstr(text, "seed"));
    cr_assert_eq(current_load(&current, disk, "/d", &err), 0, "%s", err.text);
    cr_assert_eq(current.seed_index, 0);
}

Test(current, the_line_that_a_hand_writes_is_taken)
{
    smallfile_replace(disk, "/d", "CURRENT", "state-7.db\n", &err);

    cr_assert_eq(current_load(&current, disk, "/d", &err), 0, "%s", err.text);
    cr_assert_eq(current.number, 7);
    cr_assert_not(current.sealed);
}

Test(current, anything_else_is_damage)
{
    static const char *const texts[] = {
        "",
        "state-7.db",
        "state-07.db\n",
        "state-0.db\n",
        "state--7.db\n",
        "state-99999999999.db\n",
        "state-7.db\nseed 1 1\n",
        "state-7.db\n\n",
        " state-7.db\n",
        "../state-7.db\n",
        "state-7.db-wal\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        smallfile_replace(disk, "/d", "CURRENT", texts[i], &err);
        cr_assert_eq(current_load(&current, disk, "/d", &err), ERR_CORRUPT, "%s",
                     texts[i]);
        cr_assert_not_null(strstr(err.text, "/d/CURRENT is damaged"));
    }
    disk->ops->unlink(disk, "/d/CURRENT");
    cr_assert_eq(current_load(&current, disk, "/d", &err), ERR_NOT_FOUND);
}

Test(current, a_flip_of_any_bit_is_found)
{
    const struct current saved = {.number = 12, .seed_index = 345678, .seed_term = 9};
    char text[SMALLFILE_MAX];

    current_save(&saved, disk, "/d", &err);
    smallfile_read(disk, "/d", "CURRENT", text, &err);
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (int bit = 0; bit < 8; bit++) {
            sim_disk_flip(sim, "/d/CURRENT", i, (uint8_t)(1u << bit));
            cr_assert_eq(current_load(&current, disk, "/d", &err), ERR_CORRUPT,
                         "bit %d of byte %zu", bit, i);
            cr_assert_not_null(strstr(err.text, "CURRENT"));
            sim_disk_flip(sim, "/d/CURRENT", i, (uint8_t)(1u << bit));
        }
    }
    cr_assert_eq(current_load(&current, disk, "/d", &err), 0, "%s", err.text);
}

Test(current, power_may_go_at_any_call_of_a_switch)
{
    for (uint64_t n = 0; n < 40; n++) {
        const struct current old = {.number = 1};
        const struct current new = {.number = 2, .seed_index = 8, .seed_term = 1};
        int rc;

        sim_disk_crash(sim);
        cr_assert_eq(current_save(&old, disk, "/d", &err), 0);
        sim_disk_die_after(sim, n);
        rc = current_save(&new, disk, "/d", &err);
        sim_disk_crash(sim);
        cr_assert_eq(current_load(&current, disk, "/d", &err), 0, "%s", err.text);
        cr_assert(current.number == 2 || (rc != 0 && current.number == 1));
    }
}
