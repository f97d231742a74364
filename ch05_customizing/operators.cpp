// h[t] = a[t] * h[t - 1] + x[t] along the last dimension, for float and double.
//
// It uses PyTorch's stable headers only: they compile in seconds, and what comes out
// runs with PyTorch 2.10 and later ones; that is promised for at least two years.
#define TORCH_TARGET_VERSION (((0ULL + 2) << 56) | ((0ULL + 10) << 48))
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
void scan(const Tensor& a, const Tensor& x, const Tensor& h) {
  const T* factors = a.const_data_ptr<T>();
  const T* inputs = x.const_data_ptr<T>();
  T* states = h.mutable_data_ptr<T>();
  const int64_t steps = x.size(-1);
  const int64_t rows = x.numel() / steps;
  const int64_t grain = 1 + 16384 / steps;  // rows that are worth a thread
  torch::stable::parallel_for(0, rows, grain, [=](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      T state = 0;
      for (int64_t i = row * steps; i < (row + 1) * steps; ++i) {
        state = factors[i] * state + inputs[i];
        states[i] = state;
      }
    }
  });
}

Tensor recurrence(const Tensor& a, const Tensor& x) {
  bool one_shape = x.dim() > 0 && a.dim() == x.dim() && x.size(-1) > 0;
  for (int64_t i = 0; one_shape && i < x.dim(); ++i) {
    one_shape = a.size(i) == x.size(i);
  }
  STD_TORCH_CHECK(one_shape, "a and x need one shape (..., T) with T > 0");
  STD_TORCH_CHECK(a.scalar_type() == x.scalar_type(), "a and x need one dtype");
  Tensor rows_a = torch::stable::contiguous(a);
  Tensor rows_x = torch::stable::contiguous(x);
  Tensor h = torch::stable::empty_like(rows_x);
  if (x.scalar_type() == ScalarType::Float) {
    scan<float>(rows_a, rows_x, h);
  } else {
    STD_TORCH_CHECK(x.scalar_type() == ScalarType::Double, "needs float or double");
    scan<double>(rows_a, rows_x, h);
  }
  return h;
}

// The schema, the fake kernel and the gradient were registered from Python.
STABLE_TORCH_LIBRARY_IMPL(pocket, CPU, m) {
  m.impl("recurrence", TORCH_BOX(&recurrence));
}
