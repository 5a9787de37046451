"""A trainer for losses on pairs that compare no reference: trl's DPOTrainer and its fused head, with another loss.

trl has ORPO and SimPO only as experiments. They build the logits of all positions, and ORPO's mean over the tokens of a
micro-batch would make the result depend on how a step is split.
"""

from typing import Any

from components.train.objectives.pair_log_probs import PairLogProbs, PairLoss


def reference_free_trainer(pair_loss: PairLoss, beta: float) -> type[Any]:
    """The trainer's class; rewards are `beta` times the mean log-prob of a response's tokens."""
    from trl import DPOTrainer

    class ReferenceFreeTrainer(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            # Pairs are tokenized already.
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
            # There is no reference.
            return dataset

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            assert not return_outputs, "only trl's evaluation asks for outputs, and there is none"
            log_probs = pair_log_probs(model, inputs)
            losses, metrics = pair_loss(log_probs)
            metrics |= rewards(log_probs, beta)
            for name, values in metrics.items():
                mean = self.accelerator.gather(values.detach().float()).mean().item()
                self._metrics["train"][name].append(mean)
            return losses.mean()

    return ReferenceFreeTrainer


def pair_log_probs(model: Any, inputs: Any) -> PairLogProbs:
    """One forward pass over both halves of a batch's pairs, chosen rows first, as trl's collator makes them."""
    import torch

    attention, completion = inputs["attention_mask"], inputs["completion_mask"]
    pairs = len(completion) // 2
    # The chosen rows' prompts are scored too.
    scored = torch.cat([attention[:pairs], completion[pairs:]])
    labels = inputs["input_ids"].masked_fill(scored == 0, -100)
    outputs = model(
        input_ids=inputs["input_ids"], attention_mask=attention, use_cache=False, labels=labels, fused_lm_head=True
    )
    values = outputs.log_probs[:, -(labels.shape[1] - 1) :]

    def mean(rows: slice, mask: Any) -> Any:
        counted = mask[rows, 1:]
        return (values[rows] * counted).sum(dim=1) / counted.sum(dim=1)

    first, second = slice(None, pairs), slice(pairs, None)
    return PairLogProbs(mean(first, completion), mean(second, completion), mean(first, attention))


def rewards(log_probs: PairLogProbs, beta: float) -> dict[str, Any]:
    """trl's metrics of pairs, by its names."""
    chosen, rejected = beta * log_probs.chosen, beta * log_probs.rejected
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/margins": chosen - rejected,
        "rewards/accuracies": chosen > rejected,
        "logps/chosen": log_probs.chosen,
        "logps/rejected": log_probs.rejected,
    }
