# Included by the Makefile: a trial on a Kubernetes cluster, the images, and the pinned requirements.

.PHONY: demo-cluster demo-cluster-down lock

demo-cluster: ## Run the operator, PostgreSQL and three sample bots on a Kubernetes cluster
	scripts/demo-cluster up

demo-cluster-down: ## Remove everything that demo-cluster made
	scripts/demo-cluster down

# Each file constrains the next: developers and the operator get the very versions that the bots run on.
# A local wheel folder must not decide what is pinned, hence PIP_FIND_LINKS.
LOCK_TOOL ?= pip-compile
SERVICE = --extra=operator --extra=cli --extra=notify
LOCK = env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND="make lock" $(LOCK_TOOL) --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(LOCK_FLAGS)

lock: ## Pin requirements/*.txt from pyproject.toml, with hashes; LOCK_FLAGS=--upgrade for the newest (needs pip-tools)
	$(LOCK) --extra=live --output-file=requirements/bot.txt pyproject.toml
	$(LOCK) $(SERVICE) --constraint=requirements/bot.txt --output-file=requirements/operator.txt pyproject.toml
	$(LOCK) $(SERVICE) --extra=apprise --extra=otel --extra=dev --build-deps-for=editable --constraint=requirements/operator.txt --output-file=requirements/dev.txt pyproject.toml
	$(LOCK) --only-build-deps --build-deps-for=wheel --output-file=requirements/build.txt pyproject.toml
	echo cyclonedx-bom | $(LOCK) --output-file=requirements/sbom.txt -

.PHONY: images sbom reproduce
images: ## Build both images from this tree, with docker or buildah; TAG=dev
	scripts/images build $(or $(TAG),dev) bot-runtime tradingbot-operator

sbom: install ## dist/sbom/: what Python packages each image holds, as CycloneDX
	scripts/images sbom dist/sbom bot-runtime tradingbot-operator

reproduce: ## Build each image twice from nothing and compare them (needs buildah)
	scripts/images reproduce bot-runtime tradingbot-operator
