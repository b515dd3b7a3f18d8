"""Adapters for engines: `eplb.integrations.vllm` and `eplb.integrations.sglang`. Each imports its engine,
so import the one that is there."""
