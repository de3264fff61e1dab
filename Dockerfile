# The project of this repository (config/, tasks/, workers/) with the framework, as an ordinary user.
FROM python:3.13-slim

RUN useradd --create-home --uid 10001 onserver
WORKDIR /app

COPY requirements/demo.txt requirements/demo.txt
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/demo.txt

COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

COPY config config
COPY tasks tasks
COPY workers workers
RUN mkdir .onserver && chown onserver .onserver

USER onserver
ENV PYTHONUNBUFFERED=1 ONSERVER_PROJECT=/app
CMD ["onserver", "worker", "server"]
