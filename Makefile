# The table of contents: `make help`. Everything is fetched and built inside this folder
# (.libtorch, .venv, data, models, target, runs) and nothing is installed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The scripts fetch into one folder each, and cargo uses every core by itself.
.NOTPARALLEL:

# More arguments for tinyrun (`make sst2 ARGS=--dry-run`) or for `cargo test`.
ARGS ?=

TINYRUN := target/release/tinyrun
EXPERIMENTS := $(sort $(basename $(notdir $(wildcard experiments/*.toml))))

# Made once and then left alone: no prerequisites, so a file that is there is never made again.
MODEL := models/all-MiniLM-L6-v2/model.safetensors
REVIEWS := data/reviews/reviews.tsv data/reviews/unlabelled.txt

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '$(if $(wildcard bench/run),,/^bench:/ { next }) /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@for name in $(EXPERIMENTS); do \
	  printf '  make %-10s run experiments/%s.toml (ARGS="..." goes to tinyrun)\n' $$name $$name; done

.PHONY: setup
setup: libtorch build demo ## fetch libtorch and the demo, build

.PHONY: build
build: libtorch ## build runner and kernel, optimised (target/release)
	@scripts/prerequisites cargo $(if $(wildcard $(TINYRUN)-kernel),,compiler) crates
	@cargo build --release --locked

.PHONY: run
run: setup ## everything from nothing: set-up, then experiments/reviews.toml
	@$(TINYRUN) experiments/reviews.toml $(ARGS)

# One target per experiment file. Their data: `make demo`, `make glue`, `make corpus`.
.PHONY: $(EXPERIMENTS)
$(EXPERIMENTS): build
	@$(TINYRUN) experiments/$@.toml $(ARGS)
reviews ablation: demo

.PHONY: test
test: libtorch ## build and pass all tests (ARGS="..." goes to cargo test)
	@scripts/prerequisites cargo compiler crates
	@cargo test --locked $(ARGS)

.PHONY: chaos
chaos: libtorch ## kill the pipeline 200 times, fail each call to the system; its bytes stay (KILLS=n, SEED=n)
	@scripts/prerequisites cargo compiler crates
	@TINYRUN_CHAOS_KILLS=$(or $(KILLS),200) TINYRUN_CHAOS_SEED=$(or $(SEED),$(shell date +%s)) \
	  cargo test --locked --test integration -- chaos:: faults:: --nocapture

.PHONY: fuzz
fuzz: ## feed the readers of foreign files with what breaks readers (SECONDS=n for each, 600)
	@scripts/prerequisites cargo compiler crates
	@scripts/fuzz $(or $(SECONDS),600) $(ARGS)

.PHONY: parity
parity: libtorch ## make the fixtures again with PyTorch and transformers, hold the kernel to them
	@scripts/prerequisites cargo compiler crates venv
	@scripts/parity
	@cargo test --locked --bin tinyrun-kernel $(ARGS)

.PHONY: reference
reference: ## write the generated pages of docs/reference anew from the code
	@UPDATE_DOCS=1 cargo test --locked --no-default-features --quiet --test integration -- reference::

.PHONY: check
check: libtorch ## formatting, lints and documentation as errors, forbidden words
	@scripts/prerequisites cargo lints compiler crates
	@scripts/forbidden_words
	@cargo fmt --check
	@scripts/format_cpp --check
	@cargo clippy --locked --all-targets -- --deny warnings
	@# The runner and the library must build on a machine without libtorch.
	@cargo check --locked --all-targets --no-default-features
	@RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --locked --no-deps --lib --document-private-items
	@RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --locked --no-deps --bin tinyrun-kernel --document-private-items
	@# Generated pages, and the files that pages and comments name.
	@cargo test --locked --no-default-features --quiet --test integration -- reference:: documents::

ifneq ($(wildcard bench/run),)
.PHONY: bench
bench: build demo ## measure speed beside PyTorch's, twenty minutes or so (bench-quick: about two)
	@scripts/prerequisites venv
	@bench/run $(ARGS)

.PHONY: bench-quick
bench-quick: build demo
	@scripts/prerequisites venv
	@bench/run --quick $(ARGS)
endif

.PHONY: libtorch
ifeq ($(origin LIBTORCH)$(origin LIBTORCH_USE_PYTORCH),undefinedundefined)
libtorch: .libtorch/pinned ## fetch libtorch into .libtorch (or set LIBTORCH, LIBTORCH_USE_PYTORCH)
else
libtorch:
	@scripts/prerequisites python
	@scripts/fetch_libtorch
endif

.libtorch/pinned: scripts/fetch_libtorch
	@scripts/prerequisites cargo compiler venv
	@scripts/fetch_libtorch
	@touch $@

.PHONY: demo
demo: $(MODEL) $(REVIEWS) ## fetch the demo's model and data (models/, data/reviews)

$(MODEL) $(REVIEWS):
	@scripts/prerequisites venv
	@scripts/fetch_demo

.PHONY: glue
glue: ## GLUE tables into data/glue: GLUE_DIR=path links a folder, else they are downloaded
	@scripts/prerequisites python
	@scripts/fetch_glue "$(GLUE_DIR)" $(TASKS)

.PHONY: corpus
corpus: ## text of general distillation into data/corpus: CORPUS=path, .txt, .txt.xz or a folder
	@scripts/prerequisites python
	@scripts/place_corpus "$(CORPUS)"

.PHONY: clean
clean: ## remove what was built; data, models, runs and libtorch stay
	@cargo clean
