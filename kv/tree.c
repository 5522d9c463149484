/* The file format is SQLite's (www.sqlite.org/fileformat2.html, "B-tree pages"), as far
 * as our tables use it: interior pages hold pairs of a child and the largest row in it,
 * and a last child; leaves hold rows. So each child's rows lie behind the key before it
 * and not behind its own. What can fail: reading, and a page that is not like that. */
#include "kv/tree.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/checkpoint.h"
#include "kv/state.h"

#define DEPTH_MAX      20
#define WINDOW_PAGES   64 /* are read at once: leaves mostly follow each other */
#define FILE_HEADER    100
#define HEADER_LEAF    8
#define HEADER_INNER   12
#define TYPE_LEAF      0x0d
#define TYPE_INNER     0x05
#define CELL_MIN_BYTES 4

struct tree {
    sqlite3_file *file;
    uint32_t n_pages;
    uint32_t first; /* pages in the window; 0: none */
    uint32_t n;
    uint8_t *window;
    uint8_t *path; /* the inner pages that lead to where we are */
    struct err *err;
};

/* Rows of a page: low < row <= high. */
struct bounds {
    int64_t low;
    int64_t high;
};

static uint32_t get_16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get_32(const uint8_t *at)
{
    return get_16(at) << 16 | get_16(at + 2);
}

/* SQLite's varint at an offset, which moves behind it; one that leaves the page is
 * whatever is there, and 0. */
static int64_t get_varint(const uint8_t *page, size_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 9 && *at < DB_PAGE_BYTES; i++) {
        uint8_t byte = page[(*at)++];

        if (i == 8) {
            return (int64_t)(value << 8 | byte);
        }
        value = value << 7 | (byte & 0x7f);
        if (byte < 0x80) {
            return (int64_t)value;
        }
    }
    return 0;
}

static int lies(const struct tree *tree, uint32_t page)
{
    return err_set(tree->err, ERR_CORRUPT,
                   "page %" PRIu32 " leads to other rows than it says; re-seed this"
                   " member",
                   page);
}

static int read_page(struct tree *tree, uint32_t page, const uint8_t **out)
{
    if (page == 0 || page > tree->n_pages) {
        return lies(tree, page);
    }
    if (tree->first == 0 || page < tree->first || page >= tree->first + tree->n) {
        uint32_t left = tree->n_pages - page + 1;
        uint32_t n = left < WINDOW_PAGES ? left : WINDOW_PAGES;
        int rc = tree->file->pMethods->xRead(tree->file, tree->window,
                                             (int)(n * DB_PAGE_BYTES),
                                             (int64_t)(page - 1) * DB_PAGE_BYTES);

        tree->first = 0;
        if (rc != SQLITE_OK) {
            return err_set(tree->err, ERR_IO, "read page %" PRIu32 ": %s", page,
                           sqlite3_errstr(rc));
        }
        tree->first = page;
        tree->n = n;
    }
    *out = tree->window + (size_t)(page - tree->first) * DB_PAGE_BYTES;
    return 0;
}

static size_t header_at(uint32_t page)
{
    return page == 1 ? FILE_HEADER : 0;
}

/* Offset of the i-th cell; DB_PAGE_BYTES: it is not in the page. */
static size_t cell_at(const uint8_t *bytes, size_t cells, uint32_t i)
{
    size_t pointer = cells + 2 * (size_t)i;
    size_t at = pointer + 2 <= DB_PAGE_BYTES ? get_16(bytes + pointer) : DB_PAGE_BYTES;

    return at + CELL_MIN_BYTES <= DB_PAGE_BYTES ? at : DB_PAGE_BYTES;
}

static int64_t leaf_row(const uint8_t *bytes, size_t cells, uint32_t i)
{
    size_t at = cell_at(bytes, cells, i);

    get_varint(bytes, &at); /* its length */
    return get_varint(bytes, &at);
}

static bool within(struct bounds bounds, int64_t row)
{
    return row > bounds.low && row <= bounds.high;
}

/* That rows follow each other was seen when all were read. */
static int check_leaf(struct tree *tree, uint32_t page, const uint8_t *bytes,
                      struct bounds bounds)
{
    size_t header = header_at(page);
    uint32_t n = get_16(bytes + header + 3);
    size_t cells = header + HEADER_LEAF;

    if (n > 0 && (!within(bounds, leaf_row(bytes, cells, 0)) ||
                  !within(bounds, leaf_row(bytes, cells, n - 1)))) {
        return lies(tree, page);
    }
    return 0;
}

static int check_page(struct tree *tree, uint32_t page, unsigned depth,
                      struct bounds bounds);

static int check_children(struct tree *tree, uint32_t page, unsigned depth,
                          struct bounds bounds)
{
    const uint8_t *bytes = tree->path + (size_t)depth * DB_PAGE_BYTES;
    size_t header = header_at(page);
    uint32_t n = get_16(bytes + header + 3);
    int rc = 0;

    for (uint32_t i = 0; i < n && rc == 0; i++) {
        size_t at = cell_at(bytes, header + HEADER_INNER, i);
        uint32_t child = at < DB_PAGE_BYTES ? get_32(bytes + at) : 0;
        struct bounds below = {.low = bounds.low};

        at += CELL_MIN_BYTES;
        below.high = get_varint(bytes, &at);
        if (!within(bounds, below.high)) {
            return lies(tree, page);
        }
        rc = check_page(tree, child, depth + 1, below);
        bounds.low = below.high;
    }
    return rc == 0
               ? check_page(tree, get_32(bytes + header + HEADER_LEAF), depth + 1, bounds)
               : rc;
}

static int check_page(struct tree *tree, uint32_t page, unsigned depth,
                      struct bounds bounds)
{
    const uint8_t *bytes = NULL;
    int rc = read_page(tree, page, &bytes);

    if (rc != 0) {
        return rc;
    }
    if (bytes[header_at(page)] == TYPE_LEAF) {
        return check_leaf(tree, page, bytes, bounds);
    }
    if (bytes[header_at(page)] != TYPE_INNER || depth == DEPTH_MAX) {
        return lies(tree, page);
    }
    memcpy(tree->path + (size_t)depth * DB_PAGE_BYTES, bytes, DB_PAGE_BYTES);
    return check_children(tree, page, depth, bounds);
}

static int check_tables(struct kv *kv, struct tree *tree)
{
    static const char sql[] = "SELECT rootpage FROM sqlite_schema WHERE type = 'table'";
    const struct bounds all = {INT64_MIN, INT64_MAX};
    sqlite3_stmt *stmt = NULL;
    int step = SQLITE_DONE;
    int rc = 0;

    if (sqlite3_prepare_v2(kv->db.conn, sql, -1, &stmt, NULL) == SQLITE_OK) {
        while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
            rc = check_page(tree, (uint32_t)sqlite3_column_int64(stmt, 0), 0, all);
        }
    }
    if (stmt == NULL || (rc == 0 && step != SQLITE_DONE)) {
        rc = db_error(&kv->db, tree->err, "look for the tables");
    }
    sqlite3_finalize(stmt);
    return rc;
}

int tree_check(struct kv *kv, struct err *err)
{
    struct tree tree = {.err = err};
    int64_t pages = 0;
    int rc = db_int(&kv->db, "PRAGMA page_count", &pages, err);

    if (rc != 0 || !checkpoint_whole(kv)) {
        return rc;
    }
    CHECK(sqlite3_file_control(kv->db.conn, "main", SQLITE_FCNTL_FILE_POINTER,
                               &tree.file) == SQLITE_OK);
    tree.n_pages = (uint32_t)pages;
    tree.window = mem_alloc(WINDOW_PAGES * DB_PAGE_BYTES);
    tree.path = mem_alloc(DEPTH_MAX * DB_PAGE_BYTES);
    rc = check_tables(kv, &tree);
    free(tree.window);
    free(tree.path);
    return rc;
}
