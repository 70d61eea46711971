# Included by the Makefile: a trial on a Kubernetes cluster, and the pinned requirements.

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
