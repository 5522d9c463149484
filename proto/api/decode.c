#include "api/decode.h"
