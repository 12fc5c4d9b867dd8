# The image of the prime workers: `docker build --file docker/primes.Dockerfile --tag nsq-primes .`, in the project's directory.

ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE}
WORKDIR /primes
COPY examples/primes/requirements.txt ./
RUN python3 -m venv .venv && \
    .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt
COPY examples/primes/*.py ./
ENV PATH=/primes/.venv/bin:$PATH
USER 65532:65532
CMD ["python", "worker.py"]
