// softmax_coefs.h - what the link leaves of a row in its planes for whoever makes its gradient, and the gradient of one of its
// columns by it. After softmax.h and elementary.h.

K_FN uint plane_at(K_CTX uint plane, uint row) { return K_P(planes) + plane * K_P(plane_rows) + row; }
K_FN float plane_float(K_CTX uint plane, uint row) { return K_FLT(K_LD(work, plane_at(K_PASS plane, row))); }

struct row_coefs {
    uint mode;
    float p, target, w, ex, top;
};
K_STRUCT(row_coefs)

K_FN row_coefs coefs_load(K_CTX uint row)
{
    row_coefs c;
    c.mode = K_LD(work, plane_at(K_PASS PLANE_COEF + COEF_MODE, row));
    c.p = plane_float(K_PASS PLANE_COEF + COEF_P, row);
    c.target = plane_float(K_PASS PLANE_COEF + COEF_TARGET, row);
    c.w = plane_float(K_PASS PLANE_COEF + COEF_W, row);
    c.ex = plane_float(K_PASS PLANE_COEF + COEF_EX, row);
    c.top = plane_float(K_PASS PLANE_COEF + COEF_TOP, row);
    return c;
}

// Of a column other than the target, whose logit is x after its softcap; without class weights.
K_FN float column_slope(K_CTX float x, row_coefs c)
{
    float d = k_clamp((x - c.top) * K_P(inverse_temperature));
    float e = k_exp(d);
    return K_SELECT(e == 0.0f, 0.0f, e * (c.p + c.ex * d));
}

// Of any column, back through the softcap of the logit in `word`: none gets through to -inf.
K_FN float uncapped_slope(K_CTX float g, uint word)
{
    float z = K_SELECT(word == K_WORD_MINUS_INF, 0.0f, K_FLT(word));
    return K_SELECT(word == K_WORD_MINUS_INF, 0.0f, g * k_tanh_slope(z * K_P(inverse_softcap)));
}
