/* Assertions that stay on in release builds. They guard our own invariants; input, disk
 * and network failures are errors (err.h), never checks. */
#ifndef KVD_BASE_CHECK_H
#define KVD_BASE_CHECK_H

/* Prints one line with place and message to stderr and aborts. */
_Noreturn void check_fail(const char *file, int line, const char *what);

#define CHECK(cond) ((cond) ? (void)0 : check_fail(__FILE__, __LINE__, #cond))

/* DCHECK is for what costs: on in the sanitizer build only. */
#ifdef KVD_DCHECK
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond) ((void)sizeof(!(cond)))
#endif

#define UNREACHABLE() check_fail(__FILE__, __LINE__, "unreachable")

#endif
