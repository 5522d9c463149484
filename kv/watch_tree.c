/* Ranges by where they begin. Recursion is as deep as the tree is high: about 1.5 times
 * the logarithm of its size. Nothing here can fail. */
#include "kv/watch_tree.h"

#include "base/check.h"

static int end_cmp(const struct span *a, const struct span *b)
{
    if (a->unbounded || b->unbounded) {
        return a->unbounded - b->unbounded;
    }
    return slice_cmp(a->to, b->to);
}

static int span_cmp(const struct span *a, const struct span *b)
{
    int rc = slice_cmp(a->from, b->from);

    return rc != 0 ? rc : end_cmp(a, b);
}

static unsigned height_of(const struct watch_spot *spot)
{
    return spot != NULL ? spot->tree.height : 0;
}

static struct watch_spot *later_end(struct watch_spot *a, struct watch_spot *b)
{
    return b != NULL && end_cmp(&b->span, &a->span) > 0 ? b : a;
}

/* What a node knows of those below it. */
static void refresh(struct watch_spot *spot)
{
    struct watch_spot *left = spot->tree.left;
    struct watch_spot *right = spot->tree.right;
    unsigned below =
        height_of(left) > height_of(right) ? height_of(left) : height_of(right);

    spot->tree.height = below + 1;
    spot->tree.furthest = later_end(spot, left != NULL ? left->tree.furthest : NULL);
    spot->tree.furthest =
        later_end(spot->tree.furthest, right != NULL ? right->tree.furthest : NULL);
}

static struct watch_spot *turn_right(struct watch_spot *top)
{
    struct watch_spot *left = top->tree.left;

    top->tree.left = left->tree.right;
    left->tree.right = top;
    refresh(top);
    refresh(left);
    return left;
}

static struct watch_spot *turn_left(struct watch_spot *top)
{
    struct watch_spot *right = top->tree.right;

    top->tree.right = right->tree.left;
    right->tree.left = top;
    refresh(top);
    refresh(right);
    return right;
}

/* One side may be higher by two. */
static struct watch_spot *balance(struct watch_spot *top)
{
    struct watch_spot *left = top->tree.left;
    struct watch_spot *right = top->tree.right;

    if (height_of(left) > height_of(right) + 1) {
        if (height_of(left->tree.left) < height_of(left->tree.right)) {
            top->tree.left = turn_left(left);
        }
        return turn_right(top);
    }
    if (height_of(right) > height_of(left) + 1) {
        if (height_of(right->tree.right) < height_of(right->tree.left)) {
            top->tree.right = turn_right(right);
        }
        return turn_left(top);
    }
    refresh(top);
    return top;
}

struct watch_spot *tree_find(struct watch_spot *root, const struct span *span)
{
    while (root != NULL) {
        int rc = span_cmp(span, &root->span);

        if (rc == 0) {
            return root;
        }
        root = rc < 0 ? root->tree.left : root->tree.right;
    }
    return NULL;
}

struct watch_spot *tree_add(struct watch_spot *root, struct watch_spot *spot)
{
    int rc;

    if (root == NULL) {
        spot->tree.left = NULL;
        spot->tree.right = NULL;
        refresh(spot);
        return spot;
    }
    rc = span_cmp(&spot->span, &root->span);
    CHECK(rc != 0);
    if (rc < 0) {
        root->tree.left = tree_add(root->tree.left, spot);
    } else {
        root->tree.right = tree_add(root->tree.right, spot);
    }
    return balance(root);
}

/* Takes the first one out, which goes to *first. */
static struct watch_spot *take_first(struct watch_spot *root, struct watch_spot **first)
{
    if (root->tree.left == NULL) {
        *first = root;
        return root->tree.right;
    }
    root->tree.left = take_first(root->tree.left, first);
    return balance(root);
}

struct watch_spot *tree_remove(struct watch_spot *root, struct watch_spot *spot)
{
    struct watch_spot *next;
    int rc;

    CHECK(root != NULL);
    rc = span_cmp(&spot->span, &root->span);
    if (rc < 0) {
        root->tree.left = tree_remove(root->tree.left, spot);
        return balance(root);
    }
    if (rc > 0) {
        root->tree.right = tree_remove(root->tree.right, spot);
        return balance(root);
    }
    CHECK(root == spot);
    if (spot->tree.left == NULL || spot->tree.right == NULL) {
        return spot->tree.left != NULL ? spot->tree.left : spot->tree.right;
    }
    spot->tree.right = take_first(spot->tree.right, &next);
    next->tree.left = spot->tree.left;
    next->tree.right = spot->tree.right;
    return balance(next);
}

void tree_stab(struct watch_spot *root, struct slice name,
               void (*hit)(void *owner, struct watch_spot *spot), void *owner)
{
    while (root != NULL && !span_ends_before(&root->tree.furthest->span, name)) {
        tree_stab(root->tree.left, name, hit, owner);
        if (slice_cmp(name, root->span.from) < 0) {
            return;
        }
        if (!span_ends_before(&root->span, name)) {
            hit(owner, root);
        }
        root = root->tree.right;
    }
}

void tree_visit(struct watch_spot *root,
                void (*visit)(void *owner, struct watch_spot *spot), void *owner)
{
    for (; root != NULL; root = root->tree.right) {
        tree_visit(root->tree.left, visit, owner);
        visit(owner, root);
    }
}
