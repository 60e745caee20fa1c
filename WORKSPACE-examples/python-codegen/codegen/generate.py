# SPDX-License-Identifier: Apache-2.0
"""Write a class for each schema that is named: generate.py OUT FOLDER NAME..."""

import json
import sys

out, folder, *names = sys.argv[1:]
with open(out, "w", encoding="utf-8") as file:
    for name in names:
        with open(f"{folder}/{name}.json", encoding="utf-8") as schema:
            fields = json.load(schema)["fields"]
        file.write(f"class {name.title()}:\n    fields = {fields!r}\n\n\n")
    file.write(f"print({', '.join(names).title()})\n")
