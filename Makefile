# riposte: everything a newcomer needs is `make demo` and `make test`.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BINARY := target/release/riposte

MINUTES ?= 45

.PHONY: help demo test simulate bench chaos soak fuzz build setup check-style docs install uninstall clean

help:            ## Show what can be made.
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' Makefile

setup:           ## Install what building, the demo and the tests need (Debian packages).
	@scripts/setup

build: setup     ## Build the one binary.
	$(CARGO) build --release --locked -p riposte

demo: build      ## See riposte at work: real scanners, real firewall, in private network namespaces.
	$(SUDO) $(BINARY) demo

test: build      ## Every test: units, fixtures, live ones in namespaces; formatting, lints, house rules.
	@scripts/setup --test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(CARGO) test --workspace --locked

SEEDS ?= 10000
STEPS ?= 250
simulate:        ## Years of attacks, faults and crashes: SEEDS=10000 STEPS=250, or one seed with its story: SEED=77.
	$(CARGO) build --locked -p simulation
	$(or $(CARGO_TARGET_DIR),target)/debug/riposte-simulate $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS)) --steps $(STEPS)

bench: build     ## The figures in the README, measured against the peers in the same run.
	@scripts/setup --bench
	$(CARGO) build --release --locked -p range --bins
	$(SUDO) target/release/riposte-bench

chaos: build     ## Kill, stop and starve it at the worst moments: every fault at every moment, then 1,000 kill -9s in a storm.
	$(CARGO) build --release --locked -p range --bins
	$(SUDO) target/release/riposte-chaos

soak: build      ## A steady load for MINUTES (45): memory, descriptors and decisions must stay as they are; target/soak/soak.svg shows it.
	$(CARGO) build --release --locked -p range --bins
	$(SUDO) target/release/riposte-soak --minutes $(MINUTES)

SECONDS ?= 60
JOBS ?= 1
fuzz: setup      ## Every parser against made-up input, SECONDS=60 each, JOBS=1 at a time.
	@scripts/fuzz --seconds $(SECONDS) --jobs $(JOBS)

docs:            ## Make docs/processes.md anew from a running daemon (root).
	RIPOSTE_WRITE_DOCS=1 $(CARGO) test --locked -p riposte --test live processes_are_documented

# What install puts there and uninstall takes away again, below $(DESTDIR); the manual pages are riposte-COMMAND.8 for each command.
SHARE := $(PREFIX)/share
UNITS := /etc/systemd/system/riposte.service /etc/systemd/system/riposte-metrics.service
INSTALLED := $(PREFIX)/sbin/riposte $(UNITS) $(PREFIX)/lib/sysusers.d/riposte.conf $(SHARE)/bash-completion/completions/riposte \
    $(SHARE)/zsh/site-functions/_riposte $(SHARE)/fish/vendor_completions.d/riposte.fish $(SHARE)/man/man8/riposte.8 $(SHARE)/man/man5/riposte.toml.5
EXAMPLES := riposte.toml kmsg.conf respond.conf capture.conf

install:         ## Install the binary (make build comes first), units, manual pages, completions and an example configuration.
	@[ -x $(BINARY) ] || { echo "There is no $(BINARY) yet: run 'make build' first, as yourself." >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/riposte
	for file in $(EXAMPLES); do install -D -m 0644 packaging/$$file $(DESTDIR)$(SHARE)/doc/riposte/$$file; done
	install -D -m 0644 docs/manual.md $(DESTDIR)$(SHARE)/doc/riposte/manual.md
	[ -e $(DESTDIR)/etc/riposte/riposte.toml ] || install -D -m 0644 packaging/riposte.toml $(DESTDIR)/etc/riposte/riposte.toml
	install -D -m 0644 packaging/riposte.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/riposte.conf
	for unit in $(UNITS); do install -d $(DESTDIR)$${unit%/*} && sed 's|@PREFIX@|$(PREFIX)|g' packaging/$${unit##*/} > $(DESTDIR)$$unit && chmod 0644 $(DESTDIR)$$unit || exit 1; done
	$(BINARY) man --out $(DESTDIR)$(SHARE)/man
	install -d $(DESTDIR)$(SHARE)/bash-completion/completions $(DESTDIR)$(SHARE)/zsh/site-functions $(DESTDIR)$(SHARE)/fish/vendor_completions.d
	$(BINARY) completions bash > $(DESTDIR)$(SHARE)/bash-completion/completions/riposte
	$(BINARY) completions zsh > $(DESTDIR)$(SHARE)/zsh/site-functions/_riposte
	$(BINARY) completions fish > $(DESTDIR)$(SHARE)/fish/vendor_completions.d/riposte.fish
	[ -n "$(DESTDIR)" ] || systemd-sysusers packaging/riposte.sysusers 2>/dev/null || id -u riposte >/dev/null 2>&1 || \
	    useradd --system --home-dir /var/lib/riposte --shell /usr/sbin/nologin \
        --groups "$$(getent group adm systemd-journal | cut -d: -f1 | paste -sd,)" riposte
	@echo "Installed. Next: sudo systemctl daemon-reload && sudo systemctl enable --now riposte && sudo riposte status"

uninstall:       ## Remove what install put there; the configuration, the ledger and the user stay.
	[ -n "$(DESTDIR)" ] || for unit in riposte-metrics riposte; do systemctl disable --now $$unit 2>/dev/null || true; done
	rm -f $(addprefix $(DESTDIR),$(INSTALLED)) $(DESTDIR)$(SHARE)/man/man8/riposte-*.8
	for file in $(EXAMPLES) manual.md; do rm -f $(DESTDIR)$(SHARE)/doc/riposte/$$file; done
	[ ! -d $(DESTDIR)$(SHARE)/doc/riposte ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(SHARE)/doc/riposte

clean:           ## Remove what was built.
	$(CARGO) clean
