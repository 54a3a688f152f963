# One image for every process; the command says which. Built in two steps so that no compiler or cache is shipped.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY firstcome firstcome
COPY firstcome_gate firstcome_gate
COPY gateway gateway
COPY rehearsal rehearsal
COPY waiting_room waiting_room
COPY workers workers
COPY shop shop
RUN python -m venv /opt/firstcome && /opt/firstcome/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/firstcome --create-home firstcome
COPY --from=build /opt/firstcome /opt/firstcome
ENV PATH=/opt/firstcome/bin:$PATH PYTHONUNBUFFERED=1 FIRSTCOME_HOST=0.0.0.0 FIRSTCOME_DATA_DIR=/var/lib/firstcome
USER firstcome
WORKDIR /var/lib/firstcome
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["firstcome"]
CMD ["serve"]
