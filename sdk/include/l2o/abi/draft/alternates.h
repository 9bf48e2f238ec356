/* On trial: steps of one player at a time. */
#ifndef L2O_ABI_DRAFT_ALTERNATES_H
#define L2O_ABI_DRAFT_ALTERNATES_H

#include <stdint.h>

/* Bit of l2o_optimizer_info.flags, where some block is maximised: of the gradient at x a step uses the
 * blocks that are minimised alone, of the gradients at its questions those that are maximised alone. Each
 * is charged as half a gradient; of the blocks that are not used an answer holds no numbers. A method that asks
 * nothing moves one player in a step: it uses the blocks that are minimised in even steps, the others in odd ones. */
#define L2O_OPTIMIZER_ALTERNATES_DRAFT1 (UINT64_C(1) << 62)
/* The same: where some block is maximised, even steps move the blocks that are minimised alone, odd ones the others. */
#define L2O_OPTIMIZER_TAKES_TURNS_DRAFT1 (UINT64_C(1) << 61)
/* Bit of l2o_loss_info.flags: it scores trajectories of optimizers alone that take turns so. */
#define L2O_LOSS_SCORES_TURNS_DRAFT1 (UINT64_C(1) << 62)

#endif
