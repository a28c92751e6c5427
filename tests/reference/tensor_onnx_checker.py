"""Runs the official ONNX checker, with full shape inference, over the program that tests/tensor/onnx.test.ts emits.

Operations of ONNX Runtime that the standard does not have are declared to the checker first, as ONNX Runtime documents them. Writes
tests/golden/tensor/onnx-checker.json with the hash of what passed, which the test compares with the program that it emits.

    python tests/reference/tensor_onnx_checker.py
"""

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import onnx
from onnx.defs import OpSchema

ROOT = Path(__file__).parents[2]
TEST = "tests/tensor/onnx.test.ts"
Parameter = OpSchema.FormalParameter
OPTIONAL = OpSchema.FormalParameterOption.Optional
FLOATS = ("T", ["tensor(float)"], "float32")


def declare(name: str, domain: str, inputs: list[str], outputs: list[str], attributes: dict[str, OpSchema.AttrType]) -> None:
    onnx.defs.register_schema(
        OpSchema(
            name,
            domain,
            1,
            inputs=[Parameter(x, "tensor(int64)" if x == "position_ids" else "T") for x in inputs],
            outputs=[Parameter(outputs[0], "T"), *(Parameter(x, "T", param_option=OPTIONAL) for x in outputs[1:])],
            type_constraints=[FLOATS],
            attributes=[OpSchema.Attribute(key, kind, "", required=False) for key, kind in attributes.items()],
        )
    )


def emitted() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "every-operation.onnx"
        # The test itself fails as long as the hash is the old one; what counts is the file that it leaves.
        subprocess.run(["npx", "vitest", "run", TEST], cwd=ROOT, env={**os.environ, "EMIT_ONNX": str(target)}, capture_output=True)
        return target.read_bytes()


def main() -> None:
    number, whole = OpSchema.AttrType.FLOAT, OpSchema.AttrType.INT
    declare("SimplifiedLayerNormalization", "", ["X", "scale"], ["Y", "inv_std_var"], {"axis": whole, "epsilon": number})
    declare("QuickGelu", "com.microsoft", ["X"], ["Y"], {"alpha": number})
    declare("Gelu", "com.microsoft", ["X"], ["Y"], {})
    declare("FastGelu", "com.microsoft", ["X"], ["Y"], {})
    declare("FusedMatMul", "com.microsoft", ["A", "B"], ["Y"], {"alpha": number, "transA": whole, "transB": whole})
    rotary = ["input", "position_ids", "cos_cache", "sin_cache"]
    declare("RotaryEmbedding", "com.microsoft", rotary, ["output"], {"interleaved": whole, "num_heads": whole})

    data = emitted()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    checked = {"sha256": hashlib.sha256(data).hexdigest(), "onnx": onnx.__version__, "nodes": len(model.graph.node)}
    target = ROOT / "tests" / "golden" / "tensor" / "onnx-checker.json"
    target.write_text(json.dumps(checked) + "\n")


if __name__ == "__main__":
    main()
