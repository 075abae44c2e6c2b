# make            one static executable, ./vrun
# make demo       (as root) a guest on this machine, shown and cleaned up
# make check      (as root) every test, those under a second kernel too; LONG=1:
#                 with full counts where a test repeats something
# make install    DESTDIR= PREFIX=/usr/local [SETUID=1]
# Also: unit fuzz asan analyze bench clean distclean.  V=1 shows the commands.
#
# CC=... for another compiler (a cross compiler: with O=another-folder);
# LIBCAP=/path/libcap.a and LIBCAP_CFLAGS=-I... for a libcap that is there.

CC	:= $(if $(filter default,$(origin CC)),musl-gcc,$(CC))
BUILD_CC ?= gcc
STRIP	?= strip
PREFIX	?= /usr/local
CFLAGS	?= $(small) -g
O	?= build
Q	:= $(if $(filter 1,$(V)),,@)
say	= @$(if $(filter 1,$(V)),:,printf '  %-7s %s\n' $(1) $(2))
src	:= $(sort $(wildcard *.c))
obj	:= $(src:%.c=$(O)/%.o)

# The compiler's own words; tried, since none of these is everywhere.
try	= $(shell echo 'int main(void) { return 0; }' | $(CC) $(1) -Werror -xc - \
	  -o /dev/null >/dev/null 2>&1 && echo '$(1)')
small	:= $(or $(call try,-Oz),-Os)
triplet	:= $(shell $(CC) -print-multiarch 2>/dev/null)
# Not -fcf-protection: musl has none, so the kernel turns none on for what is linked with it.
harden	:= -fPIE -fno-asynchronous-unwind-tables -fstack-protector-strong -ffunction-sections -fdata-sections \
	$(call try,-fcf-protection=none) $(call try,-fstack-clash-protection) $(call try,-malign-data=abi)

# musl-gcc's specs know no -static-pie (they would make a dynamic executable of
# it): there the start files are named by hand.  rcrt1.o is what relocates.
crt	:= $(dir $(shell $(CC) '-###' -xc /dev/null 2>&1 | tr ' ' '\n' | grep -m1 '/Scrt1\.o$$'))
ifneq ($(and $(findstring musl,$(crt)),$(wildcard $(crt)rcrt1.o)),)
pie	:= -static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text
begin	:= $(crt)rcrt1.o $(crt)crti.o
end	:= $(crt)crtn.o
# 28 KB less of relocations (relr.c).  A linker that doesn't know it warns.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine)),)
pie	+= -Wl,-z,pack-relative-relocs,-e,relr_start
endif
else
pie	:= $(or $(call try,-static-pie),-static)
endif

# musl has no kernel headers.  Only these three folders of the system's become
# visible, and last, so that no header of glibc's can come in with them.
asm	:= $(firstword $(wildcard $(addsuffix /asm,/usr/include/$(triplet) \
	/usr/$(triplet)/include /usr/include)))
headers	:= -idirafter $(abspath $(O))/kernel

warn	:= -Wall -Wextra -Wundef -Wcast-align -Wwrite-strings -Wvla \
	-Wno-missing-field-initializers $(addprefix -Werror=,shadow empty-body \
	strict-prototypes missing-prototypes missing-declarations undef \
	implicit-function-declaration pointer-arith init-self return-type overflow \
	int-conversion parentheses incompatible-pointer-types format=2 \
	misleading-indentation missing-include-dirs \
	array-bounds switch sequence-point)

LIBCAP	?= $(O)/libcap/libcap.a
LIBCAP_CFLAGS ?= $(if $(filter $(O)/libcap/libcap.a,$(LIBCAP)),-I$(O)/libcap/include)

base	= -std=gnu11 -D_GNU_SOURCE= $(warn) -I. -MMD -MP
cflags	= $(base) $(harden) $(CFLAGS) $(LIBCAP_CFLAGS) $(headers)
# Headers, text and constants are one mapping: two less to make at each exec and to copy at each fork, and 8 KB less
# of padding. Sorted, the small variables, which every process writes to, share few pages.
ldflags	= $(pie) -Wl,--build-id=sha1,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code,--gc-sections,--sort-section=alignment $(LDFLAGS)

vrun: $(obj) $(LIBCAP)
	$(call say,LD,$@)
	$(Q)$(CC) $(harden) $(CFLAGS) $(ldflags) -o $@ $(begin) $(obj) $(LIBCAP) $(end)

$(O)/%.o: %.c $(O)/flags | $(LIBCAP)
	$(call say,CC,$<)
	$(Q)$(CC) $(cflags) -c -o $@ $<

# Other flags than last time: everything is built again.
$(O)/flags: FORCE
	@mkdir -p $(O)/kernel $(O)/unit
	@ln -sfn $(asm) $(O)/kernel/asm; for d in linux asm-generic; do \
		ln -sfn /usr/include/$$d $(O)/kernel/$$d; done
	@echo '$(CC) $(cflags) $(ldflags) $(LIBCAP)' | cmp -s - $@ || \
		echo '$(CC) $(cflags) $(ldflags) $(LIBCAP)' >$@

$(O)/libcap/libcap.a: getlibcap | $(O)/flags
	$(call say,LIBCAP,$@)
	$(Q)./getlibcap $(O)/libcap '$(CC)' '$(BUILD_CC)' $(headers)

# A unit test includes the .c that it tests, and is linked with the others.
others	= $(filter-out $(2)/vrun.o $(shell sed -n 's|^.include "\(.*/\)*\([a-z]*\)\.c".*|$(2)/\2.o|p' $(1)),\
	$(src:%.c=$(2)/%.o))
units	:= $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
helpers	:= $(patsubst tests/helpers/%.c,$(O)/helpers/%,$(wildcard tests/helpers/*.c))
fuzzers	:= $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))

.SECONDEXPANSION:
$(O)/unit/%: tests/unit/%.c $$(call others,tests/unit/%.c,$(O)) $(LIBCAP)
	$(call say,UNIT,$@)
	$(Q)$(CC) $(cflags) $(ldflags) -o $@ $(begin) $< $(filter %.o,$^) $(LIBCAP) $(end)

$(O)/helpers/%: tests/helpers/%.c $(O)/flags
	$(call say,HELPER,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(filter-out -MMD -MP,$(cflags)) -fno-PIE -static -o $@ $<

# The same with glibc, its libcap, and the sanitizers.
san	= -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
ASAN_CC	?= gcc
FUZZ_CC	?= clang
quiet	:= -Wno-unknown-warning-option -Wno-unused-parameter -Wno-write-strings \
	-Wno-missing-prototypes -Wno-unused-function
$(O)/asan/%.o: %.c $(O)/flags
	$(call say,ASAN,$<)
	$(Q)mkdir -p $(@D) && $(ASAN_CC) $(base) $(san) -c -o $@ $<
$(O)/asan/vrun: $(src:%.c=$(O)/asan/%.o)
	$(Q)$(ASAN_CC) $(san) -o $@ $^ -lcap
$(O)/asan/unit-%: tests/unit/%.c $$(call others,tests/unit/%.c,$(O)/asan)
	$(call say,ASAN,$@)
	$(Q)$(ASAN_CC) $(base) $(san) -o $@ $< $(filter %.o,$^) -lcap
$(O)/fuzz/%.o: %.c $(O)/flags
	$(Q)mkdir -p $(@D) && $(FUZZ_CC) $(base) $(quiet) $(san),fuzzer-no-link -c -o $@ $<
$(O)/fuzz/%: tests/fuzz/%.c $$(call others,tests/fuzz/%.c,$(O)/fuzz)
	$(call say,FUZZ,$@)
	$(Q)$(FUZZ_CC) $(base) $(quiet) $(san),fuzzer -o $@ $^ -lcap

helpers: $(helpers)
unit: $(units:%=$(O)/unit/%)
	$(Q)for t in $^; do echo "$$t:"; $$t || exit 1; done
asan: $(O)/asan/vrun $(units:%=$(O)/asan/unit-%)
	$(Q)for t in $(filter-out %/vrun,$^); do echo "$$t:"; $$t || exit 1; done
fuzz: $(fuzzers:%=$(O)/fuzz/%)
	$(Q)for f in $^; do echo "$$f:"; mkdir -p $$f.corpus; $$f -max_total_time=$(or $(SECONDS),10) \
		-verbosity=0 -close_fd_mask=3 -artifact_prefix=$$f. $$f.corpus || exit 1; done

# Two at a time.  Leaks: what parsing allocates lives as long as the program.
analyze: $(O)/flags | $(LIBCAP)
	$(Q)echo $(src) | xargs -n 1 -P 2 $(CC) $(filter-out -MMD -MP,$(cflags)) -O1 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-double-free -Wno-analyzer-null-dereference \
		-Wno-analyzer-use-of-uninitialized-value -Werror -c -o /dev/null
	$(Q)echo $(src) | xargs -n 1 -P 2 sh -c 'clang-tidy --quiet $$0 -- -std=gnu11 -D_GNU_SOURCE= \
		$(LIBCAP_CFLAGS) -I. 2>&1 | { ! grep -vE "warnings? (generated|treated)"; }'

jobs	= -j $(shell nproc)
deps:
	$(Q)tests/deps $(DEPS)
demo:
	$(Q)tests/deps build && $(MAKE) --no-print-directory $(jobs) vrun && tests/demo
check:
	$(Q)tests/deps && $(MAKE) --no-print-directory $(jobs) vrun helpers $(units:%=$(O)/unit/%) && $(if $(LONG),VRUN_LONG=1 )tests/run
bench: vrun
	$(Q)tests/bench/run

install: vrun
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8
	install -s --strip-program=$(STRIP) -m $(if $(SETUID),4755,0755) vrun $(DESTDIR)$(PREFIX)/bin/vrun
	$(if $(wildcard man/vrun.8),install -m 0644 man/vrun.8 $(DESTDIR)$(PREFIX)/share/man/man8/vrun.8)
	@# What another architecture's vrun would print can't be had here.
	./vrun --completion >$(O)/completion && install -D -m 0644 $(O)/completion \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vrun || :
clean:
	rm -rf vrun $(O)/*.o $(O)/*.d $(O)/unit $(O)/asan $(O)/fuzz $(O)/helpers $(O)/flags
distclean: clean
	rm -rf $(O)

FORCE:
.PHONY: FORCE helpers unit asan fuzz analyze deps demo check bench install clean distclean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(wildcard $(O)/*.d $(O)/asan/*.d $(O)/unit/*.d)
