# kvd: build, test, run. `make help` lists the targets.

VERSION := 0.1.0
B       := build

# All processors, unless -j says otherwise. V=1 shows whole commands.
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += --jobs=$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules
Q       := $(if $(V),,@)

CC      ?= cc
WARN    := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wundef -Wvla -Wno-missing-field-initializers -Wno-sign-compare \
           -Wno-unused-parameter
HARDEN  := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
RELEASE := -O2 -g $(HARDEN) -fPIE
# What libkvd is made of: only what kvd.h marks is seen from outside.
SHARED  := -O2 -g $(HARDEN) -fPIC -fvisibility=hidden
# The sanitizer build must fail on every finding, so nothing is recoverable. Line tables are
# all that its reports need.
SANITIZE := -O1 -g1 -fPIE -fno-omit-frame-pointer -fsanitize=address,undefined \
            -fno-sanitize-recover=all -DKVD_DCHECK=1
# As released, but with failpoints (proto/base/failpoint.h): for tests that break things.
FAIL    := $(RELEASE) -DKVD_FAILPOINTS=1
# libFuzzer comes with clang only. Compiling as little as possible: without optimisation a
# target is a third slower, with it compilation takes twice as long; the sanitizer build has
# what is left out.
FUZZING := -O0 -g1 -fPIE -fno-omit-frame-pointer -fno-sanitize-recover=all -DKVD_DCHECK=1 \
           -fsanitize=fuzzer-no-link,address,undefined \
           -fno-sanitize=null,alignment,object-size,pointer-overflow
FUZZ_CC ?= $(filter %ccache,$(firstword $(CC))) clang
CPPFLAGS := -I. -Iproto -I$(B)/gen -D_GNU_SOURCE -DKVD_VERSION='"$(VERSION)"'
CSTD    := -std=c11
LINK_FAST := $(if $(shell command -v ld.lld),-fuse-ld=lld)
LDFLAGS := -pie -Wl,-z,relro,-z,now
THIRD   := -lraft -luv -lsqlite3 -lprotobuf-c -lnghttp2 -lhttp_parser -lssl -lcrypto \
           -ljansson -ljwt -lcrypt -lsystemd -lxxhash -lisal -lsmartcols -lpopt -lpthread

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
SRC_lib     := $(wildcard cli/lib/*.c)
SRC_cli     := $(filter-out cli/main.c,$(wildcard cli/*.c))
SRC_sim     := $(filter-out tests/sim/main.c tests/sim/sim_%,$(wildcard tests/sim/*.c))
SRC_simbase := $(wildcard tests/sim/sim_*.c)
SRC_checkers := $(wildcard tests/checkers/*.c)
# What workload and verify are made of; each program has its own main.
MAIN_chaos  := tests/chaos/proxy.c tests/chaos/workload.c tests/chaos/verify.c \
               tests/chaos/lying_disk.c
SRC_chaos   := $(filter-out $(MAIN_chaos),$(wildcard tests/chaos/*.c))
LIB_NAMES   := sim simbase chaos checkers cli lib node raftlog kv wire api base
LIBS_DAEMON := node raftlog kv wire api base
LIBS_CLI    := cli lib wire api base
LIBS_CHAOS  := chaos checkers lib wire api base
LIBS_SIM    := sim simbase checkers node raftlog kv wire api base
# A unit test links what its folder may use, and the simulated world where that helps.
LIBS_base    := base
LIBS_api     := api base
LIBS_wire    := wire api base
LIBS_raftlog := simbase raftlog api base
LIBS_kv      := simbase kv api base
LIBS_node    := simbase $(LIBS_DAEMON)
LIBS_cli     := $(LIBS_CLI)
LIBS_lib     := cli lib wire api base
LIBS_sim     := $(LIBS_SIM)
LIBS_checkers := checkers api base
LIBS_chaos   := $(LIBS_CHAOS)

UNIT_SRC   := $(wildcard tests/unit/*/test_*.c)
CANARY_SRC := $(wildcard tests/canary/*.c)

# A fuzz target links as a unit test of node does, with a simulated member where it needs
# one, or with what it needs of kvctl.
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_CLI   := txn_text
FUZZ_TEXTS := texts
FUZZ_NODE  := calls fetch peers
FUZZ_REST  := $(filter-out $(FUZZ_CLI) $(FUZZ_TEXTS) $(FUZZ_NODE),$(FUZZ_SRC:tests/fuzz/fuzz_%.c=%))
CLI_TEXTS  := $(addprefix cli/,json.c lib/endpoint.c option.c quote.c suggest.c)
SIM_MEMBER := tests/sim/node_cluster.c tests/checkers/cluster_track.c

# A source that is added or removed changes its library, although no object is newer.
SOURCES := $(sort $(foreach l,$(LIB_NAMES),$(SRC_$(l))))
ifneq ($(SOURCES),$(file <$(B)/sources))
$(shell mkdir -p $(B))$(file >$(B)/sources,$(SOURCES))
endif

# The flavour fail differs from rel where there are failpoints only; the rest is rel's.
FAIL_SRC := $(shell grep -ls failpoint.h $(wildcard proto/base/*.c raftlog/*.c kv/*.c node/*.c))
flavour_of = $(if $(filter-out fail,$(1))$(filter $(2),$(FAIL_SRC)),$(1),rel)
obj     = $(foreach s,$(2),$(B)/$(call flavour_of,$(1),$(s))/$(patsubst %.c,%.o,$(patsubst $(B)/gen/%,gen/%,$(s))))
libs    = $(foreach l,$(2),$(B)/$(1)/lib$(l).a)

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all
all: $(B)/kvd $(B)/kvctl $(B)/libkvd.a $(B)/libkvd.so ## build the daemon, kvctl and libkvd

# ---- generated code --------------------------------------------------------------------

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: proto/api/%.proto
	@mkdir -p $(B)/gen
	@$(if $(Q),echo "  PROTO $<")
	$(Q)protoc-c -I proto/api --c_out=$(B)/gen $< 2>$(B)/gen/$*.log || { cat $(B)/gen/$*.log >&2; exit 1; }

# ---- objects, libraries and programs, in flavours: rel, san, fail, and pic for libkvd ----

# The first compilation needs the generated headers; after it the .d files know who does.
define flavour
$(B)/$(1)/%.o: %.c Makefile | $(GEN_H)
	@mkdir -p $$(@D)
	@$(if $(Q),echo "  CC    $(1) $$<")
	$(Q)$$(CC) $(CSTD) $$(CPPFLAGS) $(WARN) $(2) $$(HASTE) $(CFLAGS) -MMD -MP -c -o $$@ $$<

$(B)/$(1)/gen/%.o: $(B)/gen/%.c Makefile | $(GEN_H)
	@mkdir -p $$(@D)
	@$(if $(Q),echo "  CC    $(1) $$<")
	$(Q)$$(CC) $(CSTD) $$(CPPFLAGS) $(2) $(CFLAGS) -MMD -MP -c -o $$@ $$<

$(foreach l,$(LIB_NAMES),
$(B)/$(1)/lib$(l).a: $(call obj,$(1),$(SRC_$(l))) $(B)/sources
	@rm -f $$@
	$(Q)ar rcs $$@ $$(filter %.o,$$^)
)

$(B)/$(1)/kvd: $(B)/$(1)/node/main.o $(call libs,$(1),$(LIBS_DAEMON))
	$$(link)

$(B)/$(1)/kvctl: $(B)/$(1)/cli/main.o $(call libs,$(1),$(LIBS_CLI))
	$$(link)

$(B)/$(1)/sim: $(B)/$(1)/tests/sim/main.o $(call libs,$(1),$(LIBS_SIM))
	$$(link)

$(foreach l,base api wire raftlog kv node lib cli sim checkers chaos,
$(B)/$(1)/tests/unit/$(l)/%: $(B)/$(1)/tests/unit/$(l)/%.o $(call libs,$(1),$(LIBS_$(l)))
	$$(link)
)

$(FUZZ_CLI:%=$(B)/$(1)/tests/fuzz/fuzz_%): $(call libs,$(1),$(LIBS_cli))
$(FUZZ_TEXTS:%=$(B)/$(1)/tests/fuzz/fuzz_%): $(call obj,$(1),$(CLI_TEXTS)) $(call libs,$(1),base)
$(FUZZ_REST:%=$(B)/$(1)/tests/fuzz/fuzz_%): $(call libs,$(1),$(LIBS_node))
$(FUZZ_NODE:%=$(B)/$(1)/tests/fuzz/fuzz_%): $(call obj,$(1),$(SIM_MEMBER)) $(call libs,$(1),$(LIBS_node))
$(B)/$(1)/tests/fuzz/fuzz_%: $(B)/$(1)/tests/fuzz/fuzz_%.o
	$$(link)

$(B)/$(1)/fuzz-seeds: $(B)/$(1)/tests/fuzz/seeds.o $(call libs,$(1),$(LIBS_node))
	$$(link)

$(B)/$(1)/bench/load: $(call obj,$(1),$(wildcard tests/bench/*.c)) $(call libs,$(1),api base)
	@mkdir -p $$(@D)
	$$(link)

$(B)/$(1)/chaos/proxy: $(B)/$(1)/tests/chaos/proxy.o $(call libs,$(1),base)
	@mkdir -p $$(@D)
	$$(link)

$(B)/$(1)/chaos/workload $(B)/$(1)/chaos/verify: $(B)/$(1)/chaos/%: $(B)/$(1)/tests/chaos/%.o $(call libs,$(1),$(LIBS_CHAOS))
	@mkdir -p $$(@D)
	$$(link)

$(B)/$(1)/tests/canary/%: $(B)/$(1)/tests/canary/%.o
	$$(link)

$(B)/$(1)/%: link = @$(if $(Q),echo "  LINK  $$@";) $$(CC) $(2) $(LDFLAGS) -o $$@ $$^ $$(LINK_FIRST) $(THIRD)
$(B)/$(1)/tests/unit/% $(B)/$(1)/tests/canary/%: LINK_FIRST = $(LINK_FAST) -lcriterion
$(B)/$(1)/tests/fuzz/%: LINK_FIRST = $(LINK_FAST) -fsanitize=fuzzer
# Unit tests are many and run for a moment each.
$(B)/$(1)/tests/unit/%.o: HASTE = -O0 -Wno-format-truncation
endef
$(eval $(call flavour,rel,$(RELEASE)))
$(eval $(call flavour,san,$(SANITIZE)))
$(eval $(call flavour,fail,$(FAIL)))
$(eval $(call flavour,pic,$(SHARED)))
$(B)/fuzz/%: override CC := $(FUZZ_CC)
$(B)/fuzz/tests/fuzz/%: CPPFLAGS += -Itests/fuzz
$(eval $(call flavour,fuzz,$(FUZZING)))

$(B)/kvd $(B)/kvctl: $(B)/%: $(B)/rel/%
	$(Q)ln -f $< $@

# ---- libkvd ----------------------------------------------------------------------------

SONAME     := libkvd.so.$(firstword $(subst ., ,$(VERSION)))
LIBKVD_USE := -lnghttp2 -lprotobuf-c -lssl -lcrypto -lpthread

# One object of all that it needs, in which only the public functions are left global.
$(B)/pic/kvd.o: $(call libs,pic,lib wire api base)
	$(Q)$(CC) -r -nostdlib -o $@ -Wl,--whole-archive $< -Wl,--no-whole-archive $(filter-out $<,$^)
	$(Q)objcopy --localize-hidden $@

$(B)/libkvd.a: $(B)/pic/kvd.o
	@rm -f $@
	$(Q)ar rcs $@ $<

$(B)/libkvd.so.$(VERSION): $(B)/pic/kvd.o
	@$(if $(Q),echo "  LINK  $@")
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--no-undefined -Wl,-z,relro,-z,now -o $@ $< $(LIBKVD_USE)

$(B)/$(SONAME) $(B)/libkvd.so: $(B)/libkvd.so.$(VERSION)
	$(Q)ln -sf $(<F) $@

# ---- for tests/chaos ---------------------------------------------------------------------

$(B)/rel/chaos/%.so: tests/chaos/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(CPPFLAGS) $(WARN) -O2 -g -fPIC -shared -o $@ $<

# ---- installation ----------------------------------------------------------------------

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

.PHONY: install
install: all ## install kvd, kvctl and libkvd under PREFIX (/usr/local) in DESTDIR
	install -D -t $(DESTDIR)$(BINDIR) $(B)/kvd $(B)/kvctl
	install -D -m 644 -t $(DESTDIR)$(INCLUDEDIR) cli/lib/kvd.h
	install -D -m 644 -t $(DESTDIR)$(LIBDIR) $(B)/libkvd.a $(B)/libkvd.so.$(VERSION)
	ln -sf libkvd.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libkvd.so
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
	    cli/lib/kvd.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/kvd.pc

-include $(shell find $(B)/rel $(B)/san $(B)/fail $(B)/pic $(B)/fuzz -name '*.d' 2>/dev/null)

# ---- a cluster to try ------------------------------------------------------------------

.PHONY: up down
up: all ## start a three-node cluster on this machine and show it at work; TLS=1: over TLS
	@TLS=$(TLS) deploy/cluster up

down: ## stop that cluster, keep its data
	@deploy/cluster down
	@TLS=1 deploy/cluster down

# ---- tests -----------------------------------------------------------------------------

UNIT_BIN   := $(UNIT_SRC:%.c=$(B)/san/%)
CANARY_BIN := $(CANARY_SRC:%.c=$(B)/san/%)
CHAOS_BIN  := $(addprefix $(B)/rel/chaos/,proxy workload verify lying_disk.so)
FUZZ_BIN   := $(FUZZ_SRC:%.c=$(B)/fuzz/%)
SEEDS      ?= 100000
MINUTES    ?= 10
SECONDS    ?= 60
export ASAN_OPTIONS  := abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS := abort_on_error=1:print_stacktrace=1

.PHONY: check unit tests layers style sim chaos fuzz fuzz-corpus fuzz-targets soak bench check-bare
check: ## build everything and run every test; ends with "N passed, N failed"
	@tests/run

unit: $(UNIT_BIN) ## run the unit tests only (sanitizer build)
	@tests/run unit

tests: all $(UNIT_BIN) $(CANARY_BIN) $(B)/rel/sim $(B)/san/kvd $(B)/fail/kvd $(CHAOS_BIN) \
       $(filter-out $(FUZZ_CLI:%=$(B)/fuzz/tests/fuzz/fuzz_%),$(FUZZ_BIN)) # what check runs

layers: ## check the #include lines against the layers of the house
	@tests/layers

style: $(GEN_H) ## check what a tool can check of the style: sizes, widths, names
	@tests/style

sim: $(B)/rel/sim ## search for bugs with simulated clusters: make sim SEEDS=100000
	$(B)/rel/sim raftlog --seeds $(SEEDS)
	$(B)/rel/sim node --seeds $(SEEDS)

chaos: $(CHAOS_BIN) $(B)/fail/kvd ## harm real members: make chaos MINUTES=10 [SEED=7 SIZE=5]
	@tests/chaos/run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(SIZE),--size $(SIZE))

fuzz-targets: $(FUZZ_BIN)

fuzz: $(FUZZ_BIN) ## fuzz what strangers' bytes reach: make fuzz SECONDS=60 TARGET=http2
	@tests/fuzz/run --seconds $(SECONDS) $(TARGET)

fuzz-corpus: $(FUZZ_BIN) $(B)/fuzz/fuzz-seeds # the same, and keep inputs that reach new code
	@tests/fuzz/run --seconds $(SECONDS) --corpus $(TARGET)

soak: ## the long versions: hundreds of kills, many seeds (about an hour)
	@tests/run --soak

bench: $(B)/rel/bench/load $(B)/kvd ## measure three members; with PEER=etcd beside etcd
	@tests/bench/run $(BENCH)

check-bare: ## up and check on bare Debian 12 and 13 systems (needs root, debootstrap)
	@tests/bare

# ---- housekeeping ----------------------------------------------------------------------

.PHONY: deps clean fmt help
deps: ## install the Debian packages that are missing
	@deploy/deps build tour test

clean: down ## remove everything that was built, and the cluster of make up with its data
	rm -rf $(B)

fmt: ## format the C sources
	clang-format -i $$(git ls-files '*.c' '*.h')

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
