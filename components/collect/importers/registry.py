"""All importers. To add one: a file in this folder, and its entry in `IMPORTERS`."""

from components.collect.importers import (
    bbh,
    ceval,
    cmmlu,
    gsm8k,
    humaneval,
    ifeval,
    math_problems,
    mmlu,
    olympiadbench,
    qqp,
    sonnets,
)

IMPORTERS = {
    importer.name: importer
    for importer in (
        gsm8k.IMPORTER,
        mmlu.IMPORTER,
        cmmlu.IMPORTER,
        ceval.IMPORTER,
        humaneval.IMPORTER,
        ifeval.IMPORTER,
        bbh.IMPORTER,
        qqp.IMPORTER,
        sonnets.IMPORTER,
        *math_problems.IMPORTERS,
        olympiadbench.IMPORTER,
    )
}
