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
# The start of the student of experiments/banking77.toml.
MINILM_10K := models/all-MiniLM-L6-v2-10k/model.safetensors
BANKING77 := data/banking77/train.csv

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '$(if $(wildcard bench/run),,/^bench:/ { next }) /^[a-z0-9-]+:.*## / { printf "  make %-23s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@for name in $(EXPERIMENTS); do \
	  printf '  make %-23s run experiments/%s.toml (pass options with ARGS="...")\n' $$name $$name; done

.PHONY: setup
setup: libtorch build demo ## fetch libtorch and the demo, build

.PHONY: build
build: libtorch ## build the runner and the kernel in release mode (target/release)
	@scripts/prerequisites cargo $(if $(wildcard $(TINYRUN)-kernel),,compiler) crates
	@cargo build --release --locked

.PHONY: run
run: setup ## set up everything and run the demo, experiments/reviews.toml
	@$(TINYRUN) experiments/reviews.toml $(ARGS)

# One target per experiment file. Their data: `make demo`, `make glue`, `make corpus`.
.PHONY: $(EXPERIMENTS)
$(EXPERIMENTS): build
	@$(TINYRUN) experiments/$@.toml $(ARGS)
reviews ablation: demo

.PHONY: test
test: libtorch ## build and run all tests (pass options to cargo test with ARGS="...")
	@scripts/prerequisites cargo compiler crates
	@scripts/fetch_onnxruntime || echo "skipped: the tests with onnxruntime" >&2
	@cargo test --locked $(ARGS)

.PHONY: chaos
chaos: libtorch ## test that results survive kills and failing system calls (KILLS=200, SEED=n)
	@scripts/prerequisites cargo compiler crates
	@TINYRUN_CHAOS_KILLS=$(or $(KILLS),200) TINYRUN_CHAOS_SEED=$(or $(SEED),$(shell date +%s)) \
	  cargo test --locked --test integration -- chaos:: faults:: --nocapture

.PHONY: fuzz
fuzz: ## fuzz the readers of untrusted files (SECONDS=n per target, default 600)
	@scripts/prerequisites cargo compiler crates
	@scripts/fuzz $(or $(SECONDS),600) $(ARGS)

.PHONY: parity
parity: libtorch ## regenerate fixtures with PyTorch, test the kernel, let MindSpore read our files
	@scripts/prerequisites cargo compiler crates venv
	@scripts/parity
	@cargo test --locked --package tinyrun-kernel $(ARGS)
	@cargo build --locked
	@scripts/check_seed_files

.PHONY: seed-parity
seed-parity: libtorch ## train from MindSpore's own files and compare every loss with MindSpore's
	@scripts/prerequisites cargo compiler crates
	@cargo test --locked --test integration -- --exact --nocapture --test-threads 1 \
	  seed_parity::mindspores_losses_are_reached_from_its_own_files \
	  seed_parity::mindspores_losses_with_relative_positions_are_reached_too

.PHONY: ranks
ranks: libtorch ## compare trainings on 1 to 4 processes, kill ranks, try launchers
	@scripts/prerequisites cargo compiler crates
	@cargo test --locked --test integration -- --nocapture --test-threads 1 ranks:: launchers::

.PHONY: sanitize
sanitize: libtorch ## test the kernel's C++ with AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/prerequisites cargo compiler crates
	@scripts/sanitize $(ARGS)

# Any mdbook in PATH, else one that is installed into .mdbook.
MDBOOK = $(or $(shell command -v mdbook),.mdbook/bin/mdbook)

.PHONY: docs
docs: ## build the documentation as a book in target/book (installs mdbook into .mdbook if missing)
	@scripts/prerequisites cargo
	@$(if $(wildcard $(MDBOOK)),,cargo install --locked --root .mdbook --version 0.5.4 mdbook)
	@$(MDBOOK) build docs

.PHONY: reference
reference: ## regenerate docs/reference from the code
	@UPDATE_DOCS=1 cargo test --locked --no-default-features --quiet --test integration -- reference::

.PHONY: check
check: libtorch ## formatting, lints, documentation and its links, forbidden words
	@scripts/prerequisites cargo lints compiler crates
	@scripts/forbidden_words
	@scripts/check_docs
	@cargo fmt --check
	@scripts/format_cpp --check
	@cargo clippy --locked --all-targets -- --deny warnings
	@# The runner and the library must build on a machine without libtorch.
	@cargo check --locked --all-targets --no-default-features
	@# The fuzz targets call what readers offer today.
	@cargo check --quiet --locked --manifest-path fuzz/Cargo.toml
	@RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --locked --no-deps --lib --document-private-items
	@# Generated pages, and the files that pages and comments name.
	@cargo test --locked --no-default-features --quiet --test integration -- reference:: documents::

ifneq ($(wildcard bench/run),)
.PHONY: bench
bench: build demo ## compare the speed with PyTorch, about 20 minutes (bench-quick: about 2)
	@scripts/prerequisites venv
	@bench/run $(ARGS)

.PHONY: bench-quick
bench-quick: build demo
	@scripts/prerequisites venv
	@bench/run --quick $(ARGS)
endif

.PHONY: dist
dist: build ## pack programs, man pages and completions into target/dist (runs with a libtorch 2.11)
	@scripts/prerequisites python
	@scripts/dist

.PHONY: libtorch
ifeq ($(origin LIBTORCH)$(origin LIBTORCH_USE_PYTORCH),undefinedundefined)
libtorch: .libtorch/pinned ## fetch libtorch into .libtorch (or set LIBTORCH or LIBTORCH_USE_PYTORCH)
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
demo: $(MODEL) $(REVIEWS) ## fetch the model and data of the demo (models/, data/reviews)

$(MODEL) $(REVIEWS):
	@scripts/prerequisites venv
	@scripts/fetch_demo

.PHONY: teacher-base
teacher-base: ## fetch a teacher of base size, 400 MB (models/all-mpnet-base-v2)
	@scripts/prerequisites venv
	@scripts/fetch_teacher_base

.PHONY: glue
glue: ## download the GLUE tables to data/glue, or link a folder with GLUE_DIR=path
	@scripts/prerequisites python
	@scripts/fetch_glue "$(GLUE_DIR)" $(TASKS)

.PHONY: unlabelled-glue
unlabelled-glue: ## write the sentences of other GLUE tables to data/unlabelled/glue.txt
	@scripts/prerequisites python
	@scripts/unlabelled_glue $(TASKS)

.PHONY: unlabelled-imdb
unlabelled-imdb: data/unlabelled/imdb.txt ## fetch sentences of 25,000 IMDB reviews, 13 MB (data/unlabelled/imdb.txt)

data/unlabelled/imdb.txt:
	@scripts/prerequisites venv
	@scripts/unlabelled_imdb

.PHONY: banking77-data
banking77-data: ## download Banking77 to data/banking77, or copy it with BANKING77_DIR=path
	@scripts/prerequisites python
	@scripts/fetch_banking77 $(if $(BANKING77_DIR),"$(BANKING77_DIR)")

.PHONY: minilm-10k
minilm-10k: $(MINILM_10K) ## cut MiniLM's vocabulary to 10,000 pieces for the student of Banking77

$(MINILM_10K): | $(MODEL) $(BANKING77)
	@scripts/prerequisites venv
	@scripts/prune_vocabulary models/all-MiniLM-L6-v2 $(@D) data/banking77/train.csv --size 10000

$(BANKING77):
	@scripts/prerequisites python
	@scripts/fetch_banking77

.PHONY: corpus
corpus: ## link or unpack CORPUS=path (.txt, .txt.xz or folder) to data/corpus
	@scripts/prerequisites python
	@scripts/place_corpus "$(CORPUS)"

.PHONY: clean
clean: ## delete build files; keep data, models, runs and libtorch
	@cargo clean
