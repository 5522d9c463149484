/* Versions: kvd's own, of the API it speaks, of the libraries in use. */
#ifndef KVD_NODE_VERSION_H
#define KVD_NODE_VERSION_H

#include <stdio.h>

/* What Status and /version answer: clients compare it with their own. */
#define VERSION_API         "3.6.0"
#define VERSION_API_CLUSTER "3.6"

/* What kvd --version prints. */
void version_print(FILE *out);

#endif
