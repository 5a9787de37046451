"""All importers. A new one is a file beside this one and one name in `IMPORTERS`."""

from components.collect.importers import bbh, ceval, cmmlu, demo, gsm8k, humaneval, ifeval, mmlu

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
        demo.IMPORTER,
    )
}
