# Everything runs in .venv, made by uv from uv.lock. uv itself is fetched when it is missing.
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := .venv/bin
# A site's own certificate authority is in the system's store.
export UV_SYSTEM_CERTS := 1
export PYTHONUNBUFFERED := 1
# TESTS names some folders or files, of those that a target runs.
# Without bytecode every start compiles its imports again, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo demo-study images lock sbom test test-quick test-integration test-serving test-all cluster-programs \
  cluster-up cluster-down test-cluster test-cluster-shared test-cluster-alone test-cluster-whole test-images test-image-contents test-image-programs lint format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

install: .venv/installed ## make .venv from uv.lock

.venv/installed: uv.lock pyproject.toml | $(UV)
	$(UV) sync --frozen --extra all
	@touch $@

.tools/bin/uv:
	python3 -m venv .tools && .tools/bin/python -m pip install --quiet uv==$(UV_VERSION) \
	  || python3 -m pip install --quiet --target .tools uv==$(UV_VERSION) \
	  || { echo "uv cannot be fetched: install python3-venv, or uv itself, and run this again" >&2; exit 1; }

demo: install ## teach the tiny student on this machine, and report
	$(RUN)/tutelage run pipelines/recipes/demo.yaml

demo-study: install ## the demo over five seeds: mean and standard deviation of every variant
	$(RUN)/python -m benchmarks.demo_study

images: ## build the images without Docker, by buildah; IMAGES_FROM=--debian needs no registry
	python3 images/build.py $(IMAGES_FROM)

lock: $(UV) ## write the images' lock files from uv.lock
	python3 images/lock.py

sbom: ## what each image holds, as SPDX beside its layout; builds what is not built
	python3 images/build.py $(IMAGES_FROM) | python3 images/sbom.py

test: test-quick test-integration ## all tests that need no cluster and no GPU

# Ray starts its workers with a niceness of 15: beside other tests they would hardly run.
test-quick test-integration: export RAY_worker_niceness := 0

test-quick: install ## of those, the ones that take seconds each
	$(RUN)/pytest $(or $(TESTS),tests/unit tests/contract tests/golden tests/charts tests/manifests) -n 2

test-integration: install ## of those, the ones with real Ray, torchrun, S3, browser, and data (TUTELAGE_TEST_DATA)
	$(RUN)/pytest $(or $(TESTS),tests/integration) -n 2 --dist loadfile --no-loadscope-reorder

test-serving: install ## real vLLM on CPUs, in an environment of its own (6 GB, fetched once)
	$(RUN)/pytest $(or $(TESTS),tests/serving)

test-all: ## every test, on the cluster and on images too (root, Go, containerd)
	$(MAKE) test test-serving cluster-up test-cluster test-cluster-whole test-images cluster-down

cluster-programs: install ## build what the node and the tests of charts and manifests run, where it is missing
	@$(RUN)/python -m tests.cluster.node build

cluster-up: install ## a real single-node Kubernetes with all operators, on this machine, without Docker
	@$(RUN)/python -m tests.cluster.node up

cluster-down: ## end that node; nothing of it is left but files
	@$(RUN)/python -m tests.cluster.node down

test-cluster: test-cluster-shared test-cluster-alone ## the tests on the cluster that KUBECONFIG names, else on that node

test-cluster-shared: install
	$(RUN)/pytest $(or $(TESTS),tests/cluster) -m "not alone and not whole" -n 5

test-cluster-whole: install
	$(RUN)/pytest tests/cluster -m whole

test-cluster-alone: install
	$(RUN)/pytest $(or $(TESTS),tests/cluster) -m alone

test-images: test-image-contents test-image-programs ## what the images hold, and that what pods run starts in them

test-image-contents: install
	$(RUN)/pytest $(or $(TESTS),tests/images --ignore=tests/images/test_programs.py)

test-image-programs: install
	$(RUN)/pytest tests/images/test_programs.py

lint: install ## ruff, mypy, and whether uv.lock fits pyproject.toml
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(UV) lock --check

format: install ## format and mend what ruff can mend
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

clean: ## remove what was made here, the environment too
	rm -rf .venv .tools .tutelage
