"""Writes the small checkpoints that the tests of pools read, with the `safetensors` package.

    pip install numpy safetensors
    python make_checkpoint.py

A model of three layers, the first of them dense, the others with six experts, over three files with
an index; and the same experts in one file whose tensors hold all experts of a layer. The bytes are
those of `expert_bytes` in tests/cluster/mod.rs, so that the tests compute what they must find.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

LAYERS, FIRST_LAYER, EXPERTS = 2, 1, 6
TENSORS = [("gate_up", 1000), ("down", 333), ("scale", 7)]
MASK = (1 << 64) - 1


def expert_bytes(layer, expert, tensor):
    seed = (layer << 40) | (expert << 8) | tensor
    product = (seed + 1) * 0x9E37_79B9_7F4A_7C15 & MASK

    def byte(index):
        turn = index % 63
        mixed = (product << turn | product >> (64 - turn)) & MASK if turn else product
        return (mixed ^ index * 0xBF58_476D_1CE4_E5B9 & MASK) >> 24 & 0xFF

    return bytes(byte(index) for index in range(TENSORS[tensor][1]))


def array(data, kind, shape):
    return np.frombuffer(data, dtype=kind).reshape(shape)


def by_expert():
    files = [{}, {}, {}]
    files[0]["model.embed_tokens.weight"] = np.arange(64, dtype=np.float32).reshape(8, 8)
    files[0]["model.layers.0.mlp.gate_proj.weight"] = np.ones((4, 4), dtype=np.float16)
    number = 0
    for layer in range(LAYERS):
        for expert in range(EXPERTS):
            name = f"model.layers.{layer + FIRST_LAYER}.mlp.experts.{expert}."
            gate_up, down, scale = (expert_bytes(layer, expert, tensor) for tensor in range(3))
            tensors = {
                "gate_proj.weight": array(gate_up[:500], np.float16, (25, 10)),
                "up_proj.weight": array(gate_up[500:], np.float16, (25, 10)),
                "down_proj.weight": array(down, np.uint8, (9, 37)),
                "down_proj.scale": array(scale, np.int8, (7,)),
            }
            # The tensors of one expert come to lie in two files.
            for tensor, values in tensors.items():
                files[number * 3 // (LAYERS * EXPERTS * 4)][name + tensor] = values
                number += 1
    return files


def write(folder):
    sharded = folder / "sharded"
    sharded.mkdir(exist_ok=True)
    files = by_expert()
    weight_map = {}
    for number, tensors in enumerate(files):
        file = f"model-{number + 1:05}-of-{len(files):05}.safetensors"
        save_file(tensors, sharded / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    total = sum(values.nbytes for tensors in files for values in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=1, sort_keys=True) + "\n"
    (sharded / "model.safetensors.index.json").write_text(text)

    fused = {}
    for layer in range(LAYERS):
        for tensor, (name, size) in enumerate(TENSORS):
            data = b"".join(expert_bytes(layer, expert, tensor) for expert in range(EXPERTS))
            fused[f"layers.{2 * layer + 1}.experts.{name}"] = array(data, np.uint8, (EXPERTS, size))
    save_file(fused, folder / "fused.safetensors")


if __name__ == "__main__":
    write(Path(__file__).parent)
