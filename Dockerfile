# Two images from one file: `bot-runtime`, which is multiplied by the number of bots, and `operator`.
#   docker build --target bot-runtime -t bot-runtime:dev .
#   docker build --target operator -t tradingbot-operator:dev .
# BASE_IMAGE is any Debian-like image that has `python3` 3.11 or later, with venv and pip for the build stages.
ARG BASE_IMAGE=python:3.11-slim

# ---- builders: one virtual environment per image, from hashed requirements ----
FROM ${BASE_IMAGE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# pip lives in an environment of its own, so that none is ever in /app.
RUN python3 -m venv /tools
COPY requirements/build.txt /requirements/
RUN /tools/bin/pip install --quiet --require-hashes --only-binary :all: -r /requirements/build.txt
COPY scripts/image-environment /usr/local/bin/

FROM tools AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bot_core bot_core
COPY bot_runtime bot_runtime
COPY operator operator
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel .

FROM tools AS bot-builder
COPY requirements/bot.txt /requirements/
RUN image-environment requirements /requirements/bot.txt
COPY --from=wheel /wheel /wheel
RUN image-environment project /wheel

FROM tools AS operator-builder
COPY requirements/operator.txt /requirements/
RUN image-environment requirements /requirements/operator.txt
COPY --from=wheel /wheel /wheel
RUN image-environment project /wheel

# ---- what both images run on ----
FROM ${BASE_IMAGE} AS runtime
# No installer stays, and the user has a name: libpq looks it up.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
      /usr/lib/python3*/ensurepip /usr/share/python-wheels \
 && echo 'tradingbot:x:10001:' >>/etc/group \
 && echo 'tradingbot:x:10001:10001::/tmp:/usr/sbin/nologin' >>/etc/passwd
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
EXPOSE 8080

FROM runtime AS operator
LABEL org.opencontainers.image.title=tradingbot-operator \
      org.opencontainers.image.description="Runs a fleet of trading bots whose only configuration is the rows of a table" \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=operator-builder /app /app
# Proves that each native library loads on this base, and leaves the standard library's bytecode for what they import.
RUN PYTHONDONTWRITEBYTECODE= python -c "import aiohttp, alembic.command, kopf, kubernetes.aio, psycopg, pydantic, sqlalchemy.ext.asyncio" \
 && PYTHONDONTWRITEBYTECODE= tradingbot --help >/dev/null
USER 10001:10001
ENTRYPOINT ["python", "-m", "bot_operator"]

FROM runtime AS bot-runtime
LABEL org.opencontainers.image.title=bot-runtime \
      org.opencontainers.image.description="One trading bot, as a row of a table asks for it" \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=bot-builder /app /app
RUN PYTHONDONTWRITEBYTECODE= python -c "import aiohttp, alembic.command, numpy, psycopg, pydantic, sqlalchemy.ext.asyncio, structlog, talib"
USER 10001:10001
ENTRYPOINT ["tradingbot"]
