// Runs a TorchScript file on a file of images.
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/serialization/import.h>

#include "images.h"

int main(int argc, char** argv) {
  if (argc < 4) return usage(argv[0], "SCRIPT.pt");
  try {
    const c10::InferenceMode no_gradients;
    torch::jit::Module network = torch::jit::load(existing(argv[1]));
    network.eval();

    const at::Tensor images = read_images(argv[2]);                  // (N, 3, 32, 32)
    const at::Tensor logits = network.forward({images}).toTensor();  // (N, 10)
    write_logits(logits, argv[3]);

    if (argc > 4) print_time(number(argv[4]), [&] { network.forward({images}); });
  } catch (const std::exception& error) {
    return failed(error);
  }
}
