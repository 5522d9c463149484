#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void *must(void *p)
{
    if (p == NULL) {
        check_fail(__FILE__, __LINE__, "out of memory");
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return must(malloc(size > 0 ? size : 1));
}

void *mem_zero(size_t size)
{
    return must(calloc(1, size > 0 ? size : 1));
}

void *mem_grow(void *old, size_t size)
{
    return must(realloc(old, size > 0 ? size : 1));
}

void *mem_dup(const void *src, size_t size)
{
    void *p = mem_alloc(size);

    if (size > 0) {
        memcpy(p, src, size);
    }
    return p;
}

char *mem_strdup(const char *src)
{
    return mem_dup(src, strlen(src) + 1);
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
    }
    va_end(args);
    return must(text);
}
