"""Put the npm package of the JavaScript SDK together: `python packaging/build_npm.py`, then `npm publish dist/npm`.

The module is the one that the dashboard serves; its types are in packaging/npm, made of its JSDoc by the TypeScript
compiler (`tsc --allowJs --declaration --emitDeclarationOnly`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from llmflow_web.version import VERSION  # noqa: E402 - found by the line above


def main() -> None:
    """Write the package's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "npm", help="Where to. [dist/npm]")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    package = json.loads((ROOT / "packaging/npm/package.json").read_text(encoding="utf-8"))
    package["version"] = VERSION
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n", encoding="utf-8")
    shutil.copy(ROOT / "llmflow_web/static/sdk/llmflow.js", folder)
    for name in ("packaging/npm/README.md", "packaging/npm/llmflow.d.ts", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    print(folder)


if __name__ == "__main__":
    main()
