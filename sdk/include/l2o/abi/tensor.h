/* A borrowed view of host memory, byte-identical to DLPack 1.x DLTensor (48 bytes). It is mirrored so that
 * no dlpack.h of a given age is forced on an author who also includes LibTorch's ATen/dlpack.h.
 *
 * Tightened: strides is never NULL (in elements, >= 0), byte_offset is 0, lanes is 1; axes 1.. are row-major
 * compact, axis 0 may be padded (a slice of a block is a column range of a wider row). Data is aligned to its
 * element, whole buffers to 64 bytes. Inputs and outputs never overlap. `const l2o_tensor*` also means that
 * the data is not written, except where a struct is said to hold accumulators. */
#ifndef L2O_ABI_TENSOR_H
#define L2O_ABI_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct l2o_tensor {
    void* data;
    int32_t device_type, device_id; /* DLPack: 1 = CPU, the only one in ABI 1.0 */
    int32_t ndim;
    uint8_t code, bits; /* DLPack: code 0 int, 1 uint, 2 float */
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} l2o_tensor;

typedef const l2o_tensor* const* l2o_in; /* array of pointers; a NULL entry is absent (a zero cotangent) */
typedef l2o_tensor* const* l2o_out;      /* a NULL entry is not wanted: do not compute it                */

enum { L2O_F32 = 1, L2O_F64 = 2, L2O_I32 = 3, L2O_I64 = 4, L2O_U8 = 5 };

#ifdef __cplusplus
}
#endif
#endif
