# One file, two images.  gateway: the web service, and with another command the worker.  ml: the ML service.
# Packages come from the locked, hashed files; neither image holds the other's packages or code.

FROM python:3.12-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/tmp
WORKDIR /app
# No program runs as somebody else: the service's user could use one to become root.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
RUN groupadd --gid 10001 retainstream \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin retainstream

# ---- gateway and worker
FROM base AS gateway-build
COPY requirements/gateway.lock /build/
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --no-warn-script-location --prefix=/packages -r /build/gateway.lock \
 && PYTHONPATH=/packages/lib/python3.12/site-packages python -m pip check
COPY shared /app/shared
COPY database /app/database
COPY gateway /app/gateway
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM base AS gateway
LABEL org.opencontainers.image.title="RetainStream gateway" \
      org.opencontainers.image.description="Churn prediction: API, page and worker" \
      org.opencontainers.image.version="1.0.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=gateway-build /packages /usr/local
COPY --from=gateway-build /app /app
RUN install -d -o 10001 -g 10001 -m 0750 /data /models
ENV HOST=0.0.0.0 \
    PORT=5000 \
    DATABASE_PATH=/data/retainstream.db
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=5); c.request('GET', '/api/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "gateway", "gateway"]

# ---- ML service
FROM base AS ml-build
COPY requirements/ml.lock /build/
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --no-warn-script-location --prefix=/packages -r /build/ml.lock \
 && PYTHONPATH=/packages/lib/python3.12/site-packages python -m pip check
COPY shared /app/shared
COPY ml_service /app/ml_service
COPY retainstream /app/retainstream
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM base AS ml
LABEL org.opencontainers.image.title="RetainStream ML service" \
      org.opencontainers.image.description="Churn prediction: trains, scores and explains" \
      org.opencontainers.image.version="1.0.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=ml-build /packages /usr/local
COPY --from=ml-build /app /app
RUN install -d -o 10001 -g 10001 -m 0750 /models
ENV ML_HOST=0.0.0.0 \
    PYTHON_PORT=5001 \
    ML_MODEL_PATH=/models
USER 10001:10001
EXPOSE 5001
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PYTHON_PORT']), timeout=5); c.request('GET', '/api/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "ml_service"]
