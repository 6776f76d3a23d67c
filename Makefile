# riposte: everything a newcomer needs is `make demo` and `make test`.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BINARY := target/release/riposte

.PHONY: help demo test simulate bench build setup check-style install uninstall clean

help:            ## Show what can be made.
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' Makefile

setup:           ## Install what building, the demo and the tests need (Debian packages).
	@scripts/setup

build: setup     ## Build the one binary.
	$(CARGO) build --release --locked -p riposte

demo: build      ## See riposte at work: real scanners, real firewall, in private network namespaces.
	$(SUDO) $(BINARY) demo

test: build      ## Every test: units, fixtures, live ones in namespaces; formatting, lints, house rules.
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

install: build   ## Install the binary, the unit and an example configuration.
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/riposte
	install -D -m 0644 packaging/riposte.toml $(DESTDIR)$(PREFIX)/share/doc/riposte/riposte.toml
	[ -e $(DESTDIR)/etc/riposte/riposte.toml ] || install -D -m 0644 packaging/riposte.toml $(DESTDIR)/etc/riposte/riposte.toml
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' packaging/riposte.service > $(DESTDIR)/etc/systemd/system/riposte.service
	[ -n "$(DESTDIR)" ] || id -u riposte >/dev/null 2>&1 || useradd --system --home-dir /var/lib/riposte --shell /usr/sbin/nologin riposte
	@echo "Installed. Next: sudo systemctl daemon-reload && sudo systemctl enable --now riposte && sudo riposte status"

uninstall:       ## Remove what install put there; the configuration and the ledger stay.
	[ -n "$(DESTDIR)" ] || systemctl disable --now riposte 2>/dev/null || true
	rm -f $(DESTDIR)/etc/systemd/system/riposte.service $(DESTDIR)$(PREFIX)/sbin/riposte
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/riposte

clean:           ## Remove what was built.
	$(CARGO) clean
