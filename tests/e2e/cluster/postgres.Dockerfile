# A PostgreSQL from Debian's package, with the part of the official images' interface that the chart uses:
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and PGDATA; user id 70; a root that may be read only.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN groupadd --gid 70 postgres && useradd --uid 70 --gid 70 --home-dir /var/lib/postgresql --no-create-home postgres \
 && mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
 && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \
 # The compiler that PostgreSQL can use for long queries is larger than PostgreSQL.
 && rm -rf /usr/lib/*/libLLVM-*.so* /usr/lib/llvm-* /usr/lib/postgresql/*/lib/llvmjit* /usr/lib/postgresql/*/lib/bitcode \
      /var/lib/apt/lists/* /var/cache/apt/archives/* /usr/share/doc /usr/share/man /usr/share/locale
COPY postgres-entrypoint /usr/local/bin/
USER 70:70
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entrypoint"]
