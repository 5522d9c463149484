/* The mapping from our error codes to what the shell sees. */
#include "cli/exit.h"

#include "base/err.h"

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
