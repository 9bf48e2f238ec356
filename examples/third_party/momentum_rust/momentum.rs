//! Polyak 1964, heavy ball: v <- mu v + g, x <- x - learning_rate v.
//!
//! The structs are those of l2o/abi/*.h, field for field: fields of one type in a row are an array, and what is only
//! read ends with the last field that is. A panic ends in a status, and leaves no function.
#![allow(dead_code)]
use std::ffi::{c_void, CStr};
use std::mem::size_of;
use std::ops::{Add, Mul, Sub};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{copy_nonoverlapping, null, slice_from_raw_parts_mut};

type Text = *const u8;
type Tensors = *const *const Tensor;
const F32: u32 = 2 | 32 << 8 | 1 << 16; // L2O_DTYPE_F32

#[repr(C)] struct Call { host: Text, key: [u64; 2], row0: u64, scratch: Text, scratch_bytes: u64, cancel: Text,
                         err: *mut u8, err_cap: u32 }
#[repr(C)] struct Tensor { data: *mut c_void, device: [i32; 2], ndim: i32, dtype: u32, shape: *const i64,
                           strides: *const i64 }
#[repr(C)] struct Setting { size: u32, kind: i32, flags: u64, key_doc_def: [Text; 3], min_max: [f64; 2], choices: Text }
#[repr(C)] struct Value { size: u32, kind: i32, i: i64, d: f64 }
#[repr(C)] struct Spec { size: u32, dtype: u32, flags: u64, name_doc_axes: [Text; 3], shape: *const i64, ndim: i32,
                         block: i32, layer: [i32; 2], bounds: [f64; 2] }
#[repr(C)] struct Problem { size: u32, n_blocks: u32, n_data: u32, dtype: u32, blocks: *const *const Spec }
#[repr(C)] struct Info { size: u32, n_params: u32, n_state: u32, particles: u32, flags: u64, scratch: [u64; 2],
                         reads: u32, questions: [u32; 3], max_steps: i64, points_per_step: f64 }
#[repr(C)] struct StepIn { batch: u32, round: u32, t: i64, params: Tensors, state: Tensors, x: Tensors, g: Tensors }
#[repr(C)] struct StepOut { state: Tensors, x: Tensors }
#[repr(C)] struct Api { size: [u32; 2], functions: [*const c_void; 10] }
#[repr(C)] struct Component { size: u32, n_options: u32, kind_id_title_doc: [Text; 4], options: *const *const Setting,
                              tags: *const Text, needs: Text, api: *const Api }
#[repr(C)] struct Plugin { magic_size_built_required_components: [u32; 6], id_version_license_vendor_runtime: [Text; 5],
                           components: *const *const Component, init: Text }

/// Names and shapes of the states are its own, as those of the problem die with create.
struct Momentum { eta: f64, mu: f64, dtype: u32, info: Info, states: Vec<Spec>, owned: Vec<(Vec<u8>, Vec<i64>)> }

/// Row b of tensor k; to be written only if it is an output.
unsafe fn row<T>(tensors: Tensors, k: usize, b: u32) -> *mut [T] {
    let t = &**tensors.add(k);
    let n: i64 = (1..t.ndim as usize).map(|i| *t.shape.add(i)).product();
    slice_from_raw_parts_mut((t.data as *mut T).offset(b as isize * *t.strides as isize), n as usize)
}
/// Every row of n tensors.
fn rows(n: usize, batch: u32) -> impl Iterator<Item = (usize, u32)> {
    (0..n).flat_map(move |k| (0..batch).map(move |b| (k, b)))
}
unsafe fn rule<T>(eta: T, mu: T, n: usize, i: &StepIn, o: &StepOut) -> i32
where T: Copy + Add<Output = T> + Mul<Output = T> + Sub<Output = T> {
    for (k, b) in rows(n, i.batch) {
        let (x, g, v): (&[T], &[T], &[T]) = (&*row(i.x, k, b), &*row(i.g, k, b), &*row(i.state, k, b));
        let (x1, v1) = (&mut *row(o.x, k, b), &mut *row(o.state, k, b));
        for j in 0..x.len() {
            v1[j] = mu * v[j] + g[j];
            x1[j] = x[j] - eta * v1[j];
        }
    }
    0
}

fn guard(body: impl FnOnce() -> i32) -> i32 { catch_unwind(AssertUnwindSafe(body)).unwrap_or(7) } // L2O_STATUS_INTERNAL

extern "C" fn create(call: &Call, values: *const &Value, _: u32, problem: &Problem, out: &mut *mut Momentum) -> i32 {
    guard(|| unsafe {
        let blocks: Vec<&Spec> = (0..problem.n_blocks as usize).map(|k| &**problem.blocks.add(k)).collect();
        if blocks.iter().any(|b| b.flags & (1 << 3 | 1 << 4) != 0) { // L2O_SPEC_MAXIMISED, L2O_SPEC_BOUNDED
            let text = b"a block is to be maximised or has bounds; this method minimises, and keeps no bounds\0";
            if call.err_cap as usize >= text.len() { copy_nonoverlapping(text.as_ptr(), call.err, text.len()) }
            return 3; // L2O_STATUS_UNSUPPORTED
        }
        let owned: Vec<_> = blocks.iter().map(|b| {
            let name = [&b"v."[..], CStr::from_ptr(b.name_doc_axes[0] as _).to_bytes_with_nul()].concat();
            (name, (0..b.ndim as usize).map(|i| *b.shape.add(i)).collect::<Vec<_>>())
        }).collect();
        let states = blocks.iter().zip(&owned).zip(1..).map(|((b, own), block)| Spec {
            size: size_of::<Spec>() as u32, dtype: b.dtype, flags: 1, // L2O_SPEC_BATCHED
            name_doc_axes: [own.0.as_ptr(), b"\0".as_ptr(), null()],
            shape: own.1.as_ptr(), ndim: b.ndim, block, layer: [0; 2], bounds: [0.0; 2],
        }).collect();
        // L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT | L2O_OPTIMIZER_COORDINATEWISE; L2O_ORACLE_GRADIENT
        let info = Info {
            size: size_of::<Info>() as u32, n_params: 0, n_state: problem.n_blocks, particles: 0, flags: 3 | 1 << 33,
            scratch: [0; 2], reads: 2, questions: [0; 3], max_steps: 0, points_per_step: 0.0,
        };
        let (eta, mu) = ((*values).d, (*values.add(1)).d);
        *out = Box::into_raw(Box::new(Momentum { eta, mu, dtype: problem.dtype, info, states, owned }));
        0
    })
}
extern "C" fn destroy(me: *mut Momentum) { guard(|| { drop(unsafe { Box::from_raw(me) }); 0 }); }
extern "C" fn info(me: &Momentum) -> &Info { &me.info }
extern "C" fn param_spec(_: &Momentum, _: u32) -> *const Spec { null() }
extern "C" fn state_spec(me: &Momentum, i: u32) -> *const Spec { me.states.get(i as usize).map_or(null(), |s| s) }
extern "C" fn init_params(_: &Momentum, _: &Call, _: Tensors, _: Tensors) -> i32 { 0 }
extern "C" fn init_state(me: &Momentum, _: &Call, i: &StepIn, state: Tensors) -> i32 {
    guard(|| unsafe {
        for (k, b) in rows(me.states.len(), i.batch) {
            if me.dtype == F32 { (*row(state, k, b)).fill(0f32) } else { (*row(state, k, b)).fill(0f64) }
        }
        0
    })
}
extern "C" fn step(me: &Momentum, _: &Call, i: &StepIn, o: &StepOut) -> i32 {
    let (eta, mu, n) = (me.eta, me.mu, me.states.len());
    guard(|| unsafe { if me.dtype == F32 { rule(eta as f32, mu as f32, n, i, o) } else { rule(eta, mu, n, i, o) } })
}
extern "C" fn get_extension(_: &Momentum, _: Text) -> Text { null() }

/// A constant, although it holds pointers.
struct Table<T>(T);
unsafe impl<T> Sync for Table<T> {}
const fn real(key: &[u8], def: &[u8], doc: &[u8], max: f64, flags: u64) -> Setting {
    let key_doc_def = [key.as_ptr(), doc.as_ptr(), def.as_ptr()];
    Setting { size: size_of::<Setting>() as u32, kind: 3, flags, key_doc_def, min_max: [0.0, max], choices: null() }
}
// L2O_OPTION_OPEN_MIN, L2O_OPTION_OPEN_MAX
static ETA: Table<Setting> = Table(real(b"learning_rate\0", b"0.01\0", b"size of a step\0", f64::INFINITY, 1 << 1));
static MU: Table<Setting> = Table(real(b"mu\0", b"0.9\0", b"share of v that is kept\0", 1.0, 1 << 2));
static API: Table<Api> = Table(Api { size: [size_of::<Api>() as u32, 0], functions: [
    create as _, destroy as _, info as _, param_spec as _, state_spec as _, init_params as _, init_state as _,
    step as _, null(), get_extension as _,
] });
static COMPONENT: Table<Component> = Table(Component {
    size: size_of::<Component>() as u32, n_options: 2, kind_id_title_doc: [
        b"l2o.optimizer/1\0".as_ptr(), b"org.example.momentum_rust\0".as_ptr(), b"Heavy ball, in Rust\0".as_ptr(),
        b"v <- mu v + g, x <- x - learning_rate v. Polyak 1964.\0".as_ptr()],
    options: &[&ETA.0, &MU.0] as *const _ as _, tags: &null(), needs: b"\0".as_ptr(), api: &API.0,
});
static PLUGIN: Table<Plugin> = Table(Plugin {
    magic_size_built_required_components: [0x4C325231, size_of::<Plugin>() as u32, 1, 0, 0, 1],
    id_version_license_vendor_runtime: [
        b"org.example.momentum_rust\0".as_ptr(), b"1.0.0\0".as_ptr(), b"MIT\0".as_ptr(), b"Example\0".as_ptr(),
        b"\0".as_ptr()],
    components: &(&COMPONENT.0 as *const _), init: null(),
});
#[no_mangle]
extern "C" fn l2o_plugin_entry_v1rc1() -> *const Plugin { &PLUGIN.0 }
