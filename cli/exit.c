/* The mapping from our error codes to what the shell sees. */
#include "cli/exit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

void exit_explain(const char *text)
{
    const char *no_color = getenv("NO_COLOR");
    bool color = isatty(STDERR_FILENO) && (no_color == NULL || *no_color == '\0');

    fprintf(stderr, "%sError:%s %s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "",
            text);
}

enum exit_code exit_code_of(int rc)
{
    switch (rc) {
    case ERR_OK:
        return EXIT_OK;
    case ERR_NETWORK:
    case ERR_TIMEOUT:
        return EXIT_CONNECTION;
    case ERR_INVALID:
    case ERR_TOO_BIG:
        return EXIT_INPUT;
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
        return EXIT_CONDITION;
    case ERR_UNKNOWN:
        return EXIT_OUTCOME;
    default:
        return EXIT_ERROR;
    }
}
