"""All merge methods by name. A new one is a file beside this one and a line here."""

from components.merge.methods import dare_ties, linear, model_stock, slerp, ties
from components.merge.methods.method import MergeMethod

METHODS: dict[str, MergeMethod] = {
    module.METHOD.name: module.METHOD for module in (linear, slerp, ties, dare_ties, model_stock)
}
