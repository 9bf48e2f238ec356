/* A borrowed view of host memory, byte-identical to DLPack 1.x DLTensor (48 bytes) where integers are little-endian. It
 * is mirrored so that no dlpack.h of a given age is forced on an author who also includes LibTorch's ATen/dlpack.h.
 *
 * Tightened: strides is never NULL (in elements, >= 0), byte_offset is 0; axes 1.. are row-major compact, axis 0 may be
 * padded (a slice of a block is a column range of a wider row). Data is aligned to its element, whole buffers to 64
 * bytes. Inputs and outputs never overlap. `const l2o_tensor*` also means that the data is not written. */
#ifndef L2O_ABI_TENSOR_H
#define L2O_ABI_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An element type, here and in l2o_spec: DLPack's code (0 int, 1 uint, 2 float), bits and lanes in one number. */
#define L2O_DTYPE(code, bits) ((uint32_t)(code) | (uint32_t)(bits) << 8 | UINT32_C(1) << 16)
#define L2O_DTYPE_F32 L2O_DTYPE(2, 32)
#define L2O_DTYPE_F64 L2O_DTYPE(2, 64)
#define L2O_DTYPE_I32 L2O_DTYPE(0, 32)
#define L2O_DTYPE_I64 L2O_DTYPE(0, 64)
#define L2O_DTYPE_U8 L2O_DTYPE(1, 8)
#define L2O_DTYPE_BYTES(dtype) (((dtype) >> 8 & 0xFFu) / 8u)

typedef struct l2o_tensor {
    void* data;
    int32_t device_type, device_id; /* DLPack: 1 = CPU, the only one in ABI 1.0 */
    int32_t ndim;
    uint32_t dtype; /* L2O_DTYPE_*; DLPack: uint8_t code, bits; uint16_t lanes */
    int64_t *shape, *strides;
    uint64_t byte_offset;
} l2o_tensor;

typedef const l2o_tensor* const* l2o_in; /* array of pointers; a NULL entry is absent (a zero cotangent)  */
typedef l2o_tensor* const* l2o_out;      /* a NULL entry is not wanted: do not compute it, do not touch it */

#ifdef __cplusplus
}
#endif
#endif
