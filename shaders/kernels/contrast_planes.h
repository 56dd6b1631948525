// contrast_planes.h - planes of the two sides. After softmax.h and contrast.h; the workspace is the slot `work`.
K_FN uint side_at(K_CTX uint plane, uint row) { return K_P(planes) + plane * K_P(plane_rows) + row; }
K_FN uint other_at(K_CTX uint plane, uint row) { return K_P(other_planes) + plane * K_P(other_rows) + row; }
