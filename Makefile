# kvd: build, test, run. `make help` lists the targets.

VERSION := 0.1.0
B       := build

CC      ?= cc
WARN    := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wundef -Wvla -Wno-missing-field-initializers -Wno-sign-compare \
           -Wno-unused-parameter
HARDEN  := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
RELEASE := -O2 -g $(HARDEN)
# The sanitizer build must fail on every finding, so nothing is recoverable.
SANITIZE := -O1 -g -fPIE -fno-omit-frame-pointer -fsanitize=address,undefined \
            -fno-sanitize-recover=all -DKVD_DCHECK=1
CPPFLAGS := -I. -Iproto -I$(B)/gen -D_GNU_SOURCE -DKVD_VERSION='"$(VERSION)"'
CSTD    := -std=c11
LDFLAGS := -pie -Wl,-z,relro,-z,now
THIRD   := -lraft -luv -lsqlite3 -lprotobuf-c -lnghttp2 -lhttp_parser -lssl -lcrypto \
           -ljansson -lsystemd -lxxhash -lisal -lsmartcols -lpopt -lpthread

# ---- sources ---------------------------------------------------------------------------

PROTOS  := $(wildcard proto/api/*.proto)
GEN_C   := $(PROTOS:proto/api/%.proto=$(B)/gen/%.pb-c.c)
GEN_H   := $(GEN_C:.c=.h)

# A library per folder, in link order: a library uses those to its right.
SRC_base    := $(wildcard proto/base/*.c)
SRC_api     := $(wildcard proto/api/*.c) $(GEN_C)
SRC_wire    := $(wildcard proto/wire/*.c)
SRC_raftlog := $(wildcard raftlog/*.c)
SRC_kv      := $(wildcard kv/*.c)
SRC_node    := $(filter-out node/main.c,$(wildcard node/*.c))
SRC_cli     := $(filter-out cli/main.c,$(wildcard cli/*.c))
LIBS_DAEMON := node raftlog kv wire api base
LIBS_CLI    := cli wire api base
SRC_sim     := $(filter-out tests/sim/main.c,$(wildcard tests/sim/*.c))
LIBS_TEST   := sim cli node raftlog kv wire api base
LIB_NAMES   := base api wire raftlog kv node cli sim

UNIT_SRC := $(wildcard tests/unit/*/test_*.c)

obj     = $(patsubst $(B)/gen/%.c,$(B)/$(1)/gen/%.o,$(patsubst %.c,$(B)/$(1)/%.o,$(filter-out $(B)/gen/%,$(2))) $(filter $(B)/gen/%,$(2)))
libs    = $(foreach l,$(2),$(B)/$(1)/lib$(l).a)

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all
all: $(B)/kvd $(B)/kvctl ## build the daemon and kvctl

# ---- generated code --------------------------------------------------------------------

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: proto/api/%.proto
	@mkdir -p $(B)/gen
	protoc-c -I proto/api --c_out=$(B)/gen $<

# ---- objects and libraries, in two flavours: rel and san ---------------------------------

define flavour
$(B)/$(1)/%.o: %.c $(GEN_H) Makefile
	@mkdir -p $$(@D)
	$(CC) $(CSTD) $(CPPFLAGS) $(WARN) $(2) $(CFLAGS) -MMD -MP -c -o $$@ $$<

$(B)/$(1)/gen/%.o: $(B)/gen/%.c $(GEN_H) Makefile
	@mkdir -p $$(@D)
	$(CC) $(CSTD) $(CPPFLAGS) $(2) $(CFLAGS) -MMD -MP -c -o $$@ $$<

$(foreach l,$(LIB_NAMES),
$(B)/$(1)/lib$(l).a: $(call obj,$(1),$(SRC_$(l)))
	@rm -f $$@
	ar rcs $$@ $$^
)

$(B)/$(1)/kvd: $(B)/$(1)/node/main.o $(call libs,$(1),$(LIBS_DAEMON))
	$(CC) $(2) $(LDFLAGS) -o $$@ $$^ $(THIRD)

$(B)/$(1)/kvctl: $(B)/$(1)/cli/main.o $(call libs,$(1),$(LIBS_CLI))
	$(CC) $(2) $(LDFLAGS) -o $$@ $$^ $(THIRD)

$(B)/$(1)/tests/unit/%: $(B)/$(1)/tests/unit/%.o $(call libs,$(1),$(LIBS_TEST))
	$(CC) $(2) $(LDFLAGS) -o $$@ $$< $(call libs,$(1),$(LIBS_TEST)) -lcriterion $(THIRD)

$(B)/$(1)/sim: $(B)/$(1)/tests/sim/main.o $(call libs,$(1),$(LIBS_TEST))
	$(CC) $(2) $(LDFLAGS) -o $$@ $$^ $(THIRD)
endef
$(eval $(call flavour,rel,$(RELEASE)))
$(eval $(call flavour,san,$(SANITIZE)))

$(B)/kvd: $(B)/rel/kvd
	cp $< $@
$(B)/kvctl: $(B)/rel/kvctl
	cp $< $@

-include $(shell find $(B)/rel $(B)/san -name '*.d' 2>/dev/null)

# ---- tests -----------------------------------------------------------------------------

UNIT_BIN := $(UNIT_SRC:%.c=$(B)/san/%)
export ASAN_OPTIONS  := abort_on_error=1:detect_leaks=1
export UBSAN_OPTIONS := abort_on_error=1:print_stacktrace=1

.PHONY: unit
unit: $(UNIT_BIN) ## run the unit tests (sanitizer build)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(B)

.PHONY: fmt
fmt: ## format the sources
	clang-format -i $$(git ls-files '*.c' '*.h')

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16
